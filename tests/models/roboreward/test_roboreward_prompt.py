"""RoboReward's rubric: our own, and one from a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dopamine_core.errors import ModelError
from dopamine_core.reward.roboreward import prompt as prompts
from dopamine_core.reward.roboreward.prompt import own_prompt, read_prompt

TEXT = "Score it: ANSWER: <score>\n\nTask: {task}"
SOURCE = f'''raise SystemExit

def _build_prompt(self, task):
    """About {{}}."""
    return """{TEXT}""".format(task=task)
'''


def test_our_words_ask_for_the_answer_that_is_read() -> None:
    words = own_prompt().words("lift {it}")
    assert "lift {it}" in words and "ANSWER: 3" in words
    assert all(f"\n{score}: " in words for score in range(1, 6))


@pytest.mark.parametrize(("name", "content"), [("rubric.txt", TEXT), ("port.py", SOURCE)])
def test_the_official_rubric_is_known_by_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    assert read_prompt(tmp_path / name, official=False).name == "file"
    with pytest.raises(ModelError, match="a rubric .* sha256"):
        read_prompt(tmp_path / name)
    monkeypatch.setattr(prompts, "OFFICIAL_SHA256", hashlib.sha256(TEXT.encode()).hexdigest())
    official = read_prompt(tmp_path / name)
    assert official.name == "official" and official.text == TEXT


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "no place"),
        ("a.py", "x = 1"),
        ("a.py", "def f(:"),
        ("a.py", 'a = "{task}"; b = "{task}."'),
    ],
)
def test_a_file_without_a_rubric_is_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ModelError, match="place|rubric"):
        read_prompt(tmp_path / name, official=False)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="absent.txt"):
        read_prompt(tmp_path / "absent.txt")
