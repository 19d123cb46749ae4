"""A file that the user names comes in, the words that a model was trained with go out, known by their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from dopamine_core.errors import ModelError


def read_words(
    path: Path | str,
    constant: Callable[[str], str],
    *,
    what: str,
    source: str,
    sha256: str = "",
) -> str:
    """Read a prompt from a text file, or from a constant of Python source, of which nothing is run.

    :param path: ``.py``: Python source. Else: the whole text, UTF-8.
    :param constant: finds the text in Python source; raises LookupError when it is not there.
    :param what: what is read and how it may stand there, for the error.
    :param source: published file that holds it, for the error.
    :param sha256: hash that the text must have; empty takes any.
    :raises ModelError: when the file cannot be read, or its text is another.
    """
    path = Path(path)
    try:
        content = path.read_text(encoding="utf-8")
        text = constant(content) if path.suffix == ".py" else content
    except (OSError, UnicodeDecodeError, SyntaxError, LookupError) as error:
        raise ModelError(
            expected=f"{what} in {path}",
            got=f"{type(error).__name__}: {error}",
            remedy=f"name {source}, or a text file",
        ) from error
    got = hashlib.sha256(text.encode()).hexdigest()
    if sha256 and got != sha256:
        raise ModelError(
            expected=f"the published text of {what}, sha256 {sha256}",
            got=f"{got} in {path}",
            remedy="take the unchanged file, or say that it is not the published one (prompt: file)",
        )
    return text
