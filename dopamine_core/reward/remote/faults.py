"""What can go wrong between here and a server, by name."""

from __future__ import annotations

from dopamine_core.errors import ModelError


class RemoteError(ModelError):
    """A server did not answer a question; ``again`` says whether asking once more may help.

    :param again: the fault may pass by itself.
    :param after_s: pause that the server asked for, in seconds; None when it named none.
    """

    def __init__(
        self, *, expected: str, got: str, remedy: str, again: bool = False, after_s: float | None = None
    ) -> None:
        super().__init__(expected=expected, got=got, remedy=remedy)
        self.again = again
        self.after_s = after_s


class UnreachableError(RemoteError):
    """No connection, no answer in time, or a connection that ended before its reply did."""


class RefusedError(RemoteError):
    """The server answered with a status that is no success."""


class ReplyError(RemoteError):
    """The server answered something that is no answer to this question."""


class ClosedError(RemoteError):
    """The client was closed before the answer came."""


def shortened(text: str, limit: int = 160) -> str:
    """Quote a text of somebody else in one line.

    :param limit: characters kept, >= 1.
    """
    return repr(text if len(text) <= limit else f"{text[:limit]}...")
