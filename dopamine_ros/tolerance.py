"""Callbacks of a node in, the same that no message can end out: what makes no sense is named and dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Complain = Callable[[str, str], None]  # kind of the message, what is wrong with it


def tolerant(callback: Callable[[Any], None], complain: Complain) -> Callable[[Any], None]:
    """Guard a subscription's callback.

    rclpy lets an exception of a callback end the process, so one message of a foreign version, with a code or a stamp
    that nobody knows, would take a whole node and its recording along.

    :param callback: converts and uses a message; it must not have changed anything when it raises.
    :param complain: told the message's kind, and what was expected, what came and what to do.
    """

    def guarded(message: Any) -> None:
        try:
            callback(message)
        except Exception as error:  # the edge of the process: whatever a message provokes ends here
            kind = type(message).__name__
            complain(kind, said_of(kind, error))

    return guarded


def said_of(kind: str, error: Exception) -> str:
    """What is wrong with a message, in words."""
    got = str(error) or type(error).__name__
    return f"expected a usable {kind}, got: {got}; dropped, is its sender of this version?"
