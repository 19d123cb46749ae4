"""What the model is told, and where between the words its eight images stand.

The prompt of our own puts every word before the images, so that words, START and GOAL are computed once per episode.
The official prompt is not shipped: it is read from a file that the user names, a text file or the official
repository's ``inference.py``, and known by its hash.
"""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path

from dopamine_core.errors import ModelError
from dopamine_core.reward.grm.views import IMAGES
from dopamine_core.reward.prompt_file import read_words

OFFICIAL_SHA256 = "6baabeeecf35c731aa1d058147f741f064a1391956bd8aa39448fe9bacad1b94"
_OFFICIAL_NAME = "SYSTEM_PROMPT"  # the constant in the official inference.py
_MARK = "<image>"
_TASK = "{task}"

_OWN = """\
You compare two moments of a robot at work and say how far the work has come from the one to the other.

The work: {task}

Eight pictures follow.
- START, front camera: the work before it is begun. GOAL, front camera: the work done. Both are examples; this run \
may look different.
- BEFORE, one moment of this run: front camera, left wrist camera, right wrist camera.
- AFTER, another moment of this run: front camera, left wrist camera, right wrist camera.
A camera that is missing is replaced by another one's picture.

Place BEFORE and AFTER on the way from START to GOAL, then answer one signed percentage.
- AFTER is further: how much of the way that BEFORE had left was covered, 0 to +100.
- AFTER is less far: how much of the way that BEFORE had come was lost, 0 to -100.
- No difference that concerns the work: 0.
The front camera shows where things are, the wrist cameras whether the gripper holds them and how they touch; of views \
that disagree, trust the one that sees the contact. Light, colours, background and blur mean nothing.

Answer with one line and nothing else, for example <score>+12.5%</score>, <score>-40.0%</score> or <score>0.0%</score>.
"""
_OWN_LABELS = (
    "START front: ",
    "\nGOAL front: ",
    "\nBEFORE front: ",
    " left wrist: ",
    " right wrist: ",
    "\nAFTER front: ",
    " left wrist: ",
    " right wrist: ",
)


@dataclass(frozen=True)
class GrmPrompt:
    """A prompt with places for the task sentence and the eight images.

    :param name: ``own``, ``official`` or ``file``; part of the model's name.
    :param text: eight times ``<image>``, any number of times ``{task}``; other braces mean themselves.
    """

    name: str
    text: str

    def __post_init__(self) -> None:
        images = self.text.count(_MARK)
        if images != IMAGES or _TASK not in self.text:
            raise ModelError(
                expected=f"a prompt with {IMAGES} times {_MARK} and the place {_TASK}",
                got=f"{images} times {_MARK}, {self.text.count(_TASK)} times {_TASK}",
                remedy="repair the prompt file",
            )

    @property
    def sha256(self) -> str:
        """Hash of the text as UTF-8."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def parts(self, task: str) -> list[str]:
        """Return the nine pieces of text around the eight images.

        :param task: one sentence, taken as it is; it may hold braces, and even ``<image>``.
        """
        return [part.replace(_TASK, task) for part in self.text.split(_MARK)]


def own_prompt() -> GrmPrompt:
    """Return the prompt of our own."""
    return GrmPrompt("own", _OWN + "".join(label + _MARK for label in _OWN_LABELS))


def read_prompt(path: Path | str, *, official: bool = True) -> GrmPrompt:
    """Read a prompt from a text file, or from the constant of the official ``inference.py``.

    :param path: ``.py``: its constant ``SYSTEM_PROMPT`` is taken, nothing is run. Else: the whole text.
    :param official: demand the published text, by its hash. False takes any text under the name ``file``.
    :raises ModelError: when the file cannot be read, or its text is not the published one.
    """
    text = read_words(
        path,
        _constant,
        what=f"the GRM's prompt (text, or Python with the constant {_OFFICIAL_NAME})",
        source="examples/inference.py of a checkout of the official repository",
        sha256=OFFICIAL_SHA256 if official else "",
    )
    return GrmPrompt("official" if official else "file", text)


def _constant(source: str) -> str:
    """Read the prompt's constant from Python source without running it."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if _OFFICIAL_NAME in names and isinstance(node.value.value, str):
                return node.value.value
    raise LookupError(f"no text constant {_OFFICIAL_NAME}")
