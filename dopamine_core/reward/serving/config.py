"""Settings of the reward server."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from dopamine_core.config import check, setting
from dopamine_core.errors import ConfigError
from dopamine_core.reward.wire.limits import WireLimits

TOKEN_VARIABLE = "DOPAMINE_SERVE_TOKEN"
_SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class ServeConfig:
    """Where the server listens, who may ask and how much."""

    host: str = setting(
        "127.0.0.1", doc="Address to listen on; another than loopback needs a token."
    )
    port: int = setting(8000, doc="Port to listen on; 0 takes a free one.", low=0, high=65535)
    token: str = setting("", doc="Bearer token that every request must carry; empty asks for none.")
    queue: int = setting(
        16, doc="Requests taken in at a time; the next is told to come later.", low=1, high=4096
    )
    batch: int = setting(
        16,
        doc="Clips of one or several requests, or frames of a session, that the model is given at a time.",
        low=1,
        high=1024,
    )
    timeout_s: float = setting(
        120.0,
        doc="Longest time from a request's first byte to its answer.",
        unit="s",
        low=0.05,
        high=3600.0,
    )
    grace_s: float = setting(
        10.0,
        doc="Time that requests under way have when the server stops.",
        unit="s",
        low=0.0,
        high=600.0,
    )
    limits: WireLimits = WireLimits()

    def __post_init__(self) -> None:
        check(self)
        if self.token and len(self.token) < _SHORTEST_TOKEN:
            raise ConfigError(
                expected=f"a token of at least {_SHORTEST_TOKEN} characters",
                got=f"{len(self.token)}",
                remedy="make one: python -c 'import secrets; print(secrets.token_urlsafe())'",
            )
        if not self.token and not is_loopback(self.host):
            raise ConfigError(
                expected=f"a token for the address {self.host!r}, which other machines reach",
                got="none",
                remedy=f"set {TOKEN_VARIABLE} or name a file that holds one, or listen on 127.0.0.1",
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
