"""Settings with which a test of faults takes a fraction of a second."""

from typing import Any

from dopamine_core.reward.remote.client import ChatClient
from dopamine_core.reward.remote.settings import ServerConfig
from tests.models.remote.fake_server import FakeServer

QUICK: dict[str, Any] = {
    "connect_timeout_s": 2.0,
    "read_timeout_s": 0.5,
    "deadline_s": 3.0,
    "retries": 3,
    "backoff_s": 0.01,
    "backoff_limit_s": 0.03,
}


def client_of(server: FakeServer, **settings: Any) -> ChatClient:
    """Return a client of the model ``grm`` with short patience."""
    return ChatClient(ServerConfig(path=server.address, **{"model": "grm", **QUICK, **settings}))
