"""The contract of the reward-model seam over what is shipped; all other back ends: tests/models."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.session import RewardModel
from tests.core.reward.contract import RewardModelContract
from tests.core.reward.toy_model import BarModel

MODELS: dict[str, Callable[[], RewardModel]] = {
    "bar": lambda: PairwiseModel(BarModel()),
    "nano": lambda: load_reward_model("nano"),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> RewardModel:
    return MODELS[request.param]()


class TestContract(RewardModelContract):
    pass
