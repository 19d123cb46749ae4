"""The contract of the reward-model seam over what is shipped and what is served; see also tests/models."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.session import RewardModel
from tests.core.reward.contract import RewardModelContract
from tests.core.reward.remote.served import SERVED, served
from tests.core.reward.toy_model import BarModel
from tests.core.reward.wire.fake_robometer import lasting

MODELS: dict[str, Callable[[], RewardModel]] = {
    "bar": lambda: PairwiseModel(BarModel()),
    "nano": lambda: load_reward_model("nano"),
    "robometer_http": lambda: load_reward_model(
        "robometer_http", lasting(), settings={"short_edge": 48}
    ),
    **{name: lambda name=name: served(name) for name in SERVED},
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> RewardModel:
    return MODELS[request.param]()


class TestContract(RewardModelContract):
    pass
