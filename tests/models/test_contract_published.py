"""The contract of the reward-model seam over tiny checkpoints of the published architectures, and over servers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.session import RewardModel
from tests.core.reward.contract import RewardModelContract
from tests.core.reward.tiny_nano import write_tiny_model
from tests.models.remote.served import SERVED, served
from tests.models.robometer.tiny_robometer import load_tiny_robometer
from tests.models.roboreward.tiny_roboreward import load_tiny_roboreward
from tests.models.sarm.drawn_stages import load_tiny_sarm
from tests.models.tiny_qwen import write_qwen2_5, write_qwen3
from tests.models.wire.fake_robometer import lasting


def grm(checkpoint: Path) -> RewardModel:
    """Random weights put next to no probability on score strings: any share counts."""
    settings = {"path": str(checkpoint), "min_mass": 0.0, "max_pixels": 12544}
    return load_reward_model("grm", settings=settings)


MODELS: dict[str, Callable[[Path], RewardModel]] = {
    "grm on qwen2.5": lambda folder: grm(write_qwen2_5(folder)),
    "grm on qwen3": lambda folder: grm(write_qwen3(folder)),
    "robometer": load_tiny_robometer,
    "roboreward": load_tiny_roboreward,
    "robometer_http": lambda folder: load_reward_model(
        "robometer_http", lasting(), settings={"short_edge": 48}
    ),
    **{name: lambda folder, name=name: served(name) for name in SERVED},
    "sarm": lambda folder: load_tiny_sarm(folder, write_tiny_model(folder / "nano")),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    return MODELS[request.param](tmp_path_factory.mktemp("model"))


class TestContract(RewardModelContract):
    pass
