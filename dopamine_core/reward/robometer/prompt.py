"""What Robometer is told, and where between the words its pictures stand.

The words it was trained with are not shipped: they are read from the authors' ``rbm_heads.py`` in a checkout that the
user names, without running it, and known by their hash. The words of our own say the same; the heads have never read
them, so published figures hold for the official ones only.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dopamine_core.errors import ModelError
from dopamine_core.reward.robometer.tokens import PREFERENCE, PROGRESS, SPLIT

OFFICIAL_SHA256 = "7519739e0af841ceafbf8cb5d310ed4cd1b61912c960192582e2494276ed4bed"
_TASK = "{task}"
_PROGRESS_FUNCTION, _PREFERENCE_FUNCTION = "_process_progress_batch", "_process_preference_batch"


@dataclass(frozen=True)
class RobometerPrompt:
    """The words of both questions, without tokens; ``{task}`` stands for the task sentence.

    :param name: ``own`` or ``official``; part of the model's name.
    :param progress: before the pictures of one clip.
    :param first: before the first of two clips.
    :param second: between them.
    :param last: after them.
    """

    name: str
    progress: str
    first: str
    second: str
    last: str

    @property
    def sha256(self) -> str:
        """Hash of all words as UTF-8."""
        words = (self.progress, self.first, self.second, self.last)
        return hashlib.sha256("\0".join(words).encode()).hexdigest()

    def progress_parts(self, task: str, frames: int) -> list[str]:
        """Text around the pictures of one clip, one part more than there are pictures.

        :param task: one sentence, taken as it is; it may hold braces.
        """
        return _around(self.progress.replace(_TASK, task), frames, 1)

    def preference_parts(self, task: str, first: int, second: int) -> list[str]:
        """Text around the pictures of two clips of so many frames.

        :param task: one sentence, taken as it is; it may hold braces.
        """
        one = _around(self.first.replace(_TASK, task), first, 1)
        two = _around(SPLIT + self.second, second, first + 1)
        two[-1] += self.last + PREFERENCE
        return [*one[:-1], one[-1] + two[0], *two[1:]]


def _around(words: str, frames: int, number: int) -> list[str]:
    """Number the pictures from ``number`` and end each one with the progress token."""
    heads = [words] + [PROGRESS] * (frames - 1)
    return [f"{head}Picture {number + k}: " for k, head in enumerate(heads)] + [PROGRESS]


def own_prompt() -> RobometerPrompt:
    """Return the words of our own."""
    return RobometerPrompt(
        "own",
        progress=(
            f"A robot has this task: {_TASK}. The pictures show one attempt in order of time. After each picture, say "
            "how far the task has come by then: 0 is how it began, 1 is the task done. If the robot does something "
            "else, it is 0."
        ),
        first=(
            f"A robot has this task: {_TASK}. Two attempts are shown in pictures, each in order of time. Judge which "
            "of them comes further with the task, A or B, and how far the first one has come after each of its "
            "pictures: 0 is how it began, 1 is the task done, 0 also if the robot does something else. Attempt A: "
        ),
        second="Attempt B: ",
        last="Which attempt comes further?",
    )


def read_official(path: Path | str) -> RobometerPrompt:
    """Read the official words from the authors' ``robometer/data/collators/rbm_heads.py``.

    :raises ModelError: when the file cannot be read, or its words are not the published ones.
    """
    path = Path(path)
    try:
        prompt = _words_of(ast.parse(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, SyntaxError, LookupError) as error:
        raise _not_official(path, f"{type(error).__name__}: {error}") from error
    if prompt.sha256 != OFFICIAL_SHA256:
        raise _not_official(path, f"words with sha256 {prompt.sha256}")
    return prompt


def _not_official(path: Path, got: str) -> ModelError:
    return ModelError(
        expected=f"Robometer's published words (sha256 {OFFICIAL_SHA256}) in {path}",
        got=got,
        remedy="name robometer/data/collators/rbm_heads.py of an unchanged checkout, or set prompt: own",
    )


def _words_of(module: ast.Module) -> RobometerPrompt:
    functions = {node.name: node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)}
    progress, preference = functions[_PROGRESS_FUNCTION], functions[_PREFERENCE_FUNCTION]
    before_first, _, before_second, after, _ = _text_parts(preference)
    asked = _assigned(preference, "prompt") + _assigned(preference, "task_prompt")
    return RobometerPrompt(
        "official", _assigned(progress, "prompt"), asked + before_first, before_second, after
    )


def _assigned(function: ast.FunctionDef, name: str) -> str:
    """Text that a function assigns to a variable; whatever it formats in is the task."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.JoinedStr):
            if any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
                return "".join(
                    str(part.value) if isinstance(part, ast.Constant) else _TASK
                    for part in node.value.values
                )
    raise LookupError(f"no text {name!r} in {function.name}")


def _text_parts(function: ast.FunctionDef) -> list[str]:
    """Constant text parts of the message that a function builds, in order."""
    parts = list(_constants(function))
    if len(parts) != 5:
        raise LookupError(f"{len(parts)} instead of 5 text parts in {function.name}")
    return parts


def _constants(function: ast.FunctionDef) -> Iterator[str]:
    dictionaries = [node for node in ast.walk(function) if isinstance(node, ast.Dict)]
    for node in sorted(dictionaries, key=lambda found: (found.lineno, found.col_offset)):
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        value = node.values[keys.index("text")] if "text" in keys else None
        if isinstance(value, ast.Constant):
            yield str(value.value)
