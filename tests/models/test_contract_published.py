"""The contract of the reward-model seam over tiny random checkpoints of the published architectures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.session import RewardModel
from tests.core.reward.contract import RewardModelContract
from tests.core.reward.robometer.tiny_robometer import load_tiny_robometer
from tests.core.reward.roboreward.tiny_roboreward import load_tiny_roboreward
from tests.core.reward.sarm.drawn_stages import load_tiny_sarm
from tests.core.reward.tiny_nano import write_tiny_model
from tests.core.reward.tiny_qwen import write_qwen2_5, write_qwen3


def grm(checkpoint: Path) -> RewardModel:
    """Random weights put next to no probability on score strings: any share counts."""
    settings = {"path": str(checkpoint), "min_mass": 0.0, "max_pixels": 12544}
    return load_reward_model("grm", settings=settings)


MODELS: dict[str, Callable[[Path], RewardModel]] = {
    "grm on qwen2.5": lambda folder: grm(write_qwen2_5(folder)),
    "grm on qwen3": lambda folder: grm(write_qwen3(folder)),
    "robometer": load_tiny_robometer,
    "roboreward": load_tiny_roboreward,
    "sarm": lambda folder: load_tiny_sarm(folder, write_tiny_model(folder / "nano")),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    return MODELS[request.param](tmp_path_factory.mktemp("model"))


class TestContract(RewardModelContract):
    pass
