"""The reward node with test models registered: they compute from pixels; some are slow or fail on purpose."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.registry import register_reward_model
from dopamine_core.reward.session import HopAnswer, HopQuery
from dopamine_core.types import ModelId, Status
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


class SlowModel(BarModel):
    """Takes as many seconds per inference as its path says."""

    model_id = ModelId("slow", "510e")
    fast = False

    def __init__(self, path: str) -> None:
        super().__init__()
        self._seconds = float(path)

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        """Answer after a while, without the processor."""
        time.sleep(self._seconds)
        return super().hops(queries)


class HangingModel(BarModel):
    """Hangs for as many seconds as its path says whenever it sees a bar that is nearly full."""

    model_id = ModelId("hanging", "4a46")

    def __init__(self, path: str) -> None:
        super().__init__()
        self._seconds = float(path)

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        """Hang at 0.7 ... 0.85."""
        if any(0.7 < query.after < 0.85 for query in queries):
            time.sleep(self._seconds)
        return super().hops(queries)


class GarbageModel(BarModel):
    """Answers a hop that is none once a frame has a predecessor."""

    model_id = ModelId("garbage", "6a4b")

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        """Answer NaN, except to first samples."""
        if len(queries) > 2:
            return [HopAnswer(Status.OK, float("nan"))] * len(queries)
        return super().hops(queries)


def bar(path: str, fusion: FusionConfig) -> PairwiseModel:
    """Make the model that reads a bar."""
    return PairwiseModel(BarModel(), fusion)


def failing(path: str, fusion: FusionConfig) -> PairwiseModel:
    """Make the model that fails."""
    return PairwiseModel(FailingModel(), fusion)


def slow_to_load(path: str, fusion: FusionConfig) -> PairwiseModel:
    """Make the model that reads a bar, after as many seconds as the path says."""
    time.sleep(float(path))
    return PairwiseModel(BarModel(), fusion)


if __name__ == "__main__":
    register_reward_model("bar", bar)
    register_reward_model("failing", failing)
    register_reward_model("slow", lambda path, fusion: PairwiseModel(SlowModel(path), fusion))
    register_reward_model("hanging", lambda path, fusion: PairwiseModel(HangingModel(path), fusion))
    register_reward_model("garbage", lambda path, fusion: PairwiseModel(GarbageModel(), fusion))
    register_reward_model("slow_to_load", slow_to_load)
    sys.exit(main())
