"""Headers of a request come in, nothing or the reason to refuse it goes out."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping

from dopamine_core.errors import DopamineError
from dopamine_core.reward.serving.config import ServeConfig, is_loopback

_PORT = re.compile(r":\d+$")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RefusedError(DopamineError):
    """A request is not answered: its sender may not ask, or not now.

    :param code: HTTP status.
    """

    def __init__(self, code: int, *, expected: str, got: str, remedy: str) -> None:
        super().__init__(expected=expected, got=got, remedy=remedy)
        self.code = code


def check_access(config: ServeConfig, headers: Mapping[str, str]) -> None:
    """Check the token; without one, that the request names this machine.

    The second keeps web pages out, which a browser lets speak to any name that resolves to this machine.

    :param headers: by lower-case name.
    :raises RefusedError: when the request may not be answered.
    """
    if config.token:
        _check_token(config.token, headers.get("authorization", ""))
        return
    host = _PORT.sub("", headers.get("host", ""))
    if not is_loopback(host):
        raise RefusedError(
            403,
            expected="a request to this machine by a loopback name",
            got=f"Host {host!r:.80}",
            remedy="ask 127.0.0.1 or localhost, or start the server with a token",
        )


def request_id_of(headers: Mapping[str, str]) -> str:
    """Take the client's ``X-Request-Id`` where it is a plain word, else make one up."""
    sent = headers.get("x-request-id", "")
    return sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(8)


def _check_token(token: str, header: str) -> None:
    scheme, _, sent = header.partition(" ")
    same = hmac.compare_digest(sent.strip().encode("utf-8", "replace"), token.encode("utf-8"))
    if scheme.lower() != "bearer" or not same:
        raise RefusedError(
            401,
            expected="the server's token in the header 'Authorization: Bearer ...'",
            got="another" if sent else "none",
            remedy="ask whoever started the server for it",
        )
