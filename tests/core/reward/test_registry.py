"""One registry: names without imports, settings from files, errors that name what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dopamine_core.errors import ConfigError, ModelError, UnknownNameError
from dopamine_core.reward.registry import (
    describe_reward_models,
    known_reward_models,
    load_reward_model,
    read_settings,
)


def test_listing_imports_no_back_end() -> None:
    code = (
        "import sys; from dopamine_core.reward.registry import *; "
        "assert {'grm', 'nano', 'robometer'} <= set(known_reward_models()); describe_reward_models(); "
        "heavy = {'torch', 'transformers', 'onnxruntime', 'httpx'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_back_end_has_a_sentence() -> None:
    described = describe_reward_models()
    assert set(described) <= set(known_reward_models())
    assert all(text.endswith(".") for text in described.values())


@pytest.mark.parametrize(
    ("package", "name", "extra"), [("httpx", "grm_remote", "remote"), ("onnxruntime", "nano", "nano")]
)
def test_a_missing_package_names_its_extra(package: str, name: str, extra: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from dopamine_core.errors import MissingPackageError\n"
        "from dopamine_core.reward.registry import load_reward_model\n"
        "try:\n"
        f"    load_reward_model({name!r})\n"
        "except MissingPackageError as error:\n"
        f"    assert {package!r} in str(error) and '[{extra}]' in str(error), error\n"
        "else:\n"
        "    raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"grm, .*nano, .*robometer"):
        load_reward_model("grm-900b")


def test_settings_come_from_a_file_and_given_ones_win(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("path: /models/grm\nmax_pixels: 50000\n")
    settings = read_settings("grm", str(file), {"max_pixels": 40000})
    assert (settings.path, settings.max_pixels) == ("/models/grm", 40000)
    assert read_settings("grm", "/other").path == "/other"


@pytest.mark.parametrize(
    "content", ["pixels: 3\n", "max_pixels: 5\n", "max_pixels: many\n", "- a\n", "a: [\n"]
)
def test_bad_settings_are_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError):
        load_reward_model("grm", str(file))


def test_a_name_with_its_variant_is_the_same_back_end(tmp_path: Path) -> None:
    assert load_reward_model("nano+any").model_id == load_reward_model("nano").model_id
    with pytest.raises(ModelError, match="checkpoint"):
        load_reward_model("grm+own", str(tmp_path / "none"))


def test_settings_files_of_the_project_are_valid() -> None:
    folder = Path(__file__).parents[3] / "config" / "reward_models"
    files = sorted(folder.glob("*.yaml"))
    assert len(files) > 5
    for file in files:
        back_end = next(n for n in known_reward_models() if file.stem.split("-")[0] == n)
        read_settings(back_end, str(file))
