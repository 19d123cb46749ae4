"""What RoboReward is told after its video.

The rubric it was trained with is not shipped: it is read from a file that the user names, a text or the Python source
of a published port, without running it, and known by its hash.
"""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path

from dopamine_core.errors import ModelError
from dopamine_core.reward.prompt_file import read_words

OFFICIAL_SHA256 = "68e8322619e55795d51f9ca06d9b0b24ec89ee396b406e3b7e920268d7e76b9d"
_TASK = "{task}"
_OWN = """\
These are moments of one robot at work, in order of time. The last one is where it stands now.

The task: {task}

Say how far the task is done at the last moment. Earlier moments only help to understand it; effort does not count.
1: nothing of the task is done.
2: a first part is done, most is missing.
3: about half of it is done.
4: nearly done, something small is missing or wrong.
5: done as the task says, with the right object at the right place.

Answer with one line and nothing else, for example ANSWER: 3
"""


@dataclass(frozen=True)
class RoboRewardPrompt:
    """The words after the video.

    :param name: ``own``, ``official`` or ``file``; part of the model's name.
    :param text: at least once ``{task}``; other braces mean themselves.
    """

    name: str
    text: str

    def __post_init__(self) -> None:
        if _TASK not in self.text:
            raise ModelError(
                expected=f"a prompt with the place {_TASK}",
                got=f"{len(self.text)} characters without it",
                remedy="repair the prompt file",
            )

    @property
    def sha256(self) -> str:
        """Hash of the text as UTF-8."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def words(self, task: str) -> str:
        """Return the words for a task, which is taken as it is and may hold braces."""
        return self.text.replace(_TASK, task)


def own_prompt() -> RoboRewardPrompt:
    """Return the rubric of our own."""
    return RoboRewardPrompt("own", _OWN)


def read_prompt(path: Path | str, *, official: bool = True) -> RoboRewardPrompt:
    """Read a rubric from a text file, or from the constant that a published port formats.

    :param path: ``.py``: the text constant with ``{task}`` is taken, nothing is run. Else: the whole text.
    :param official: demand the published text, by its hash. False takes any text under the name ``file``.
    :raises ModelError: when the file cannot be read, or its text is not the published one.
    """
    text = read_words(
        path,
        _constant,
        what=f"a rubric (text, or Python with one text constant that holds {_TASK})",
        source="robometer/evals/baselines/roboreward.py of a checkout of Robometer",
        sha256=OFFICIAL_SHA256 if official else "",
    )
    return RoboRewardPrompt("official" if official else "file", text)


def _constant(source: str) -> str:
    """Read the one text with a place for the task from Python source without running it."""
    found = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _TASK in node.value
    ]
    if len(found) != 1:
        raise LookupError(f"{len(found)} texts with {_TASK}")
    return found[0]
