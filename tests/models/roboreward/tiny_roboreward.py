"""A tiny RoboReward with random weights, for tests that need one reading per frame whatever it says."""

from __future__ import annotations

from pathlib import Path

from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.session import RewardModel
from tests.models.tiny_qwen import write_qwen3


def load_tiny_roboreward(root: Path) -> RewardModel:
    """Every answer counts: random weights hardly ever write a score.

    :param root: empty folder for its files.
    """
    settings = {
        "reading": "expected",
        "min_mass": 0.0,
        "min_pixels": 1024,
        "max_pixels": 4096,
        "device": "cpu",
    }
    return load_reward_model("roboreward", str(write_qwen3(root)), settings=settings)
