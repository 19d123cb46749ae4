"""Prompts of the prompt-level models: own text by default, somebody else's from a file that the user names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dopamine_core.errors import ModelError

TASK, IMAGE = "{task}", "<image>"


@dataclass(frozen=True)
class Prompt:
    """A text with places for the task sentence and, between its words, for images.

    :param text: other braces mean themselves.
    :param images: how often ``<image>`` stands in it; 0 when the frames stand before it.
    :raises ModelError: when a place is missing.
    """

    text: str
    images: int = 0

    def __post_init__(self) -> None:
        found = self.text.count(IMAGE)
        if TASK not in self.text or found != self.images:
            raise ModelError(
                expected=f"a prompt with the place {TASK} and {self.images} times {IMAGE}",
                got=f"{self.text.count(TASK)} times {TASK} and {found} times {IMAGE}",
                remedy="repair the prompt file",
            )

    @property
    def sha256(self) -> str:
        """Hash of the text as UTF-8."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def pieces(self, task: str) -> list[str]:
        """Return the text around the images, one piece more than images.

        :param task: one sentence, taken as it is.
        """
        return [piece.replace(TASK, task) for piece in self.text.split(IMAGE)]


def prompt_of(own: str, file: str, images: int = 0) -> Prompt:
    """Return the prompt of our own, or the whole text of a file.

    :param own: text of our own.
    :param file: path of a UTF-8 text; empty: the own one.
    :raises ModelError: when the file cannot be read or has not the places.
    """
    if not file:
        return Prompt(own, images)
    try:
        return Prompt(Path(file).read_text(encoding="utf-8"), images)
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            expected=f"a prompt as UTF-8 text in {file}",
            got=f"{type(error).__name__}: {error}",
            remedy="name a file, or leave 'prompt_file' empty for the prompt of our own",
        ) from error
