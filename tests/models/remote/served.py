"""The remote back ends as others may test them: on one fake server that lives as long as the process."""

from __future__ import annotations

from functools import cache
from typing import Any

from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.session import RewardModel
from tests.models.remote.fake_server import CALIBRATED, FakeServer

#: Settings of each back end with the name under which the fake server serves its model.
SERVED: dict[str, dict[str, Any]] = {
    "grm_remote": {"model": "grm", "resize": "client"},
    "roboreward_remote": {"model": "roboreward", "min_pixels": 0},
    "gvl": {"model": "gvl"},
    "topreward": {"model": "topreward", **CALIBRATED},
    "vlac": {"model": "vlac"},
}


def served(name: str, **settings: Any) -> RewardModel:
    """Load a remote back end whose server answers at once.

    :param name: one of ``SERVED``.
    """
    return load_reward_model(name, _server().address, settings={**SERVED[name], **settings})


@cache
def _server() -> FakeServer:
    return FakeServer().__enter__()
