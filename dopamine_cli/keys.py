"""Keys pressed in a terminal in, those that mean something out; afterwards the terminal is as it was."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import IO


class Keys:
    """Reads single keys without waiting, where standard input is a terminal; elsewhere there are none.

    :param known: keys that mean something; others are ignored.
    :param stream: the terminal.
    """

    def __init__(self, known: Container[str], stream: IO[str] | None = None) -> None:
        self._known = known
        stream = stream or sys.stdin
        self._descriptor = stream.fileno() if stream.isatty() else None

    @property
    def there(self) -> bool:
        """Whether anybody can press a key."""
        return self._descriptor is not None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take keys as they are pressed, without Enter and without echo; Ctrl-C stays Ctrl-C."""
        if self._descriptor is None:
            yield
            return
        before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        try:
            yield
        finally:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, before)

    def pressed(self) -> list[str]:
        """Known keys pressed since the last look."""
        if self._descriptor is None or not select.select([self._descriptor], [], [], 0.0)[0]:
            return []
        typed = os.read(self._descriptor, 64).decode(errors="ignore")
        return [key for key in typed.lower() if key in self._known]
