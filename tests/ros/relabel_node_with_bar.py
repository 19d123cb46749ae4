"""The relabel node with a test model registered: it computes from pixels, slowly, and may fail on purpose."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.registry import register_reward_model
from dopamine_core.reward.session import HopAnswer, HopQuery
from dopamine_core.types import ModelId
from dopamine_reward_node.relabel_node import main
from tests.core.reward.toy_model import BarModel


class BetterModel(BarModel):
    """Takes as many seconds per inference as its path says, and cannot bear a bar that is nearly full."""

    model_id = ModelId("better", "be77e2")
    fast = False

    def __init__(self, path: str) -> None:
        super().__init__()
        self._seconds = float(path or 0)

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        """Answer after a while."""
        time.sleep(self._seconds)
        if any(0.8 < query.after < 0.9 for query in queries):
            raise RuntimeError("out of memory")
        return super().hops(queries)


def better(path: str, fusion: FusionConfig) -> PairwiseModel:
    """Make the model."""
    return PairwiseModel(BetterModel(path), fusion)


if __name__ == "__main__":
    register_reward_model("better", better)
    sys.exit(main())
