"""The reward node with test models registered: they compute from pixels, one fails on purpose."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.registry import register_reward_model
from dopamine_core.reward.session import HopAnswer, HopQuery
from dopamine_core.types import ModelId
from dopamine_reward_node.reward_node import main
from tests.core.reward.toy_model import BarModel


class FailingModel(BarModel):
    """Raises once a frame has a predecessor."""

    model_id = ModelId("failing", "fa11")

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        """Answer first samples only."""
        if len(queries) > 2:
            raise RuntimeError("out of memory")
        return super().hops(queries)


def bar(path: str, fusion: FusionConfig) -> PairwiseModel:
    """Make the model that reads a bar."""
    return PairwiseModel(BarModel(), fusion)


def failing(path: str, fusion: FusionConfig) -> PairwiseModel:
    """Make the model that fails."""
    return PairwiseModel(FailingModel(), fusion)


if __name__ == "__main__":
    register_reward_model("bar", bar)
    register_reward_model("failing", failing)
    sys.exit(main())
