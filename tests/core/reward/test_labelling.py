"""One answer per decision, live and on recordings; registry and relabelling."""

import math

import numpy as np
import pytest

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.errors import UnknownNameError
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.labelling import EpisodeLabeller, shaping_potential
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.registry import load_reward_model, register_reward_model
from dopamine_core.reward.relabel import relabel
from dopamine_core.reward.session import References
from dopamine_core.reward.success import SuccessConfig, SuccessRule
from dopamine_core.types import (
    Decision,
    DecisionOwner,
    EncodedImage,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    FramePair,
    Outcome,
    Reading,
    Status,
)
from tests.core.reward.toy_model import BarModel, bar_pair

REFERENCES = References("fill the bar", (bar_pair(1.0),))


def decision(index: int) -> Decision:
    stamp = (index + 1) * 100
    return Decision(stamp, "e1", index, DecisionOwner.AGENT, stamp, stamp, stamp)


def labeller(model: BarModel | None = None, threshold: float = 0.9) -> EpisodeLabeller:
    rule = SuccessRule(threshold, 2)
    return EpisodeLabeller(PairwiseModel(model or BarModel()), REFERENCES, rule)


def test_answers_carry_the_decision_and_the_success() -> None:
    lane = labeller()
    answers = [lane.label(decision(k), bar_pair(s)) for k, s in enumerate((0.0, 0.5, 1.0, 1.0))]
    assert [a.index for a in answers] == [0, 1, 2, 3]
    assert [a.decision_stamp_ns for a in answers] == [100, 200, 300, 400]
    assert [a.success for a in answers] == [False, False, False, True]
    assert lane.success is not None and lane.success.stamp_ns == 400
    assert all(a.potential == a.reading.progress for a in answers)


def test_a_lost_or_corrupt_frame_holds_progress_and_gives_no_potential() -> None:
    lane = labeller()
    lane.label(decision(0), bar_pair(0.0))
    half = lane.label(decision(1), bar_pair(0.5))
    lost = lane.decline(decision(2), Status.MISSING_FRAME, "not there")
    junk = EncodedImage(1, "jpeg", b"junk", 1, 1)
    corrupt = lane.label(decision(3), FramePair(junk, junk))
    for answer, status in ((lost, Status.MISSING_FRAME), (corrupt, Status.BAD_IMAGE)):
        assert answer.reading.status is status and answer.reading.text
        assert math.isnan(answer.potential)
        assert answer.reading.progress == half.reading.progress
    assert lane.label(decision(4), bar_pair(0.75)).potential == pytest.approx(0.75, abs=0.03)


class Raising(BarModel):
    """Fails on the second sample."""

    def hops(self, queries):  # noqa: ANN001, ANN201
        """Answer the first sample only."""
        if len(queries) > 2:
            raise RuntimeError("out of memory")
        return super().hops(queries)


def test_a_raising_model_is_a_status() -> None:
    lane = labeller(Raising())
    assert lane.label(decision(0), bar_pair(0.0)).reading.ok
    answer = lane.label(decision(1), bar_pair(0.5))
    assert answer.reading.status is Status.MODEL_ERROR
    assert answer.reading.text == "RuntimeError: out of memory"


def test_slow_models_shape_with_their_anchored_readings() -> None:
    reading = Reading(Status.OK, reading=(0.9, 0.2, 0.4), progress=0.5)
    assert shaping_potential(reading, fast=True) == 0.5
    assert shaping_potential(reading, fast=False) == pytest.approx(0.3)
    assert math.isnan(shaping_potential(Reading(Status.STALE), fast=True))


def episode(shares: list[float | None]) -> EpisodeData:
    count = len(shares)
    info = EpisodeInfo(
        "e1",
        EpisodeState.CLOSED,
        EpisodeKind.ROLLOUT,
        "fill the bar",
        0,
        0,
        outcome=Outcome.TIME_LIMIT,
    )
    return EpisodeData(
        info=info,
        decisions=tuple(decision(k) for k in range(count)),
        pairs=tuple(None if s is None else bar_pair(s) for s in shares),
        joints=(None,) * count,
        actions=np.full((count, 7), np.nan),
        potentials=(None,) * count,
        commanded=(None,) * count,
    )


def test_relabelling_equals_the_live_lane_and_keeps_the_rest() -> None:
    shares = [0.0, 0.25, None, 0.5, 1.0, 1.0, 1.0]
    recorded = episode(shares)
    new = relabel(recorded, PairwiseModel(BarModel()), REFERENCES)
    lane = labeller()
    for k, share in enumerate(shares):
        got = new.potentials[k]
        assert got is not None
        if share is None:
            assert got.reading.status is Status.MISSING_FRAME
        else:
            assert got.potential == lane.label(decision(k), bar_pair(share)).potential
    assert new.references == REFERENCES
    assert new.info is recorded.info and new.pairs is recorded.pairs
    assert [p.success for p in new.potentials if p] == [False] * 6 + [True]


def test_relabelling_takes_the_rule_it_is_given() -> None:
    rule = SuccessConfig(threshold=0.4, consecutive=1)
    new = relabel(episode([0.0, 0.5, 0.2]), PairwiseModel(BarModel()), REFERENCES, rule)
    assert [p.success for p in new.potentials if p] == [False, True, False]


def test_registry_lists_what_it_knows_and_passes_settings_on() -> None:
    with pytest.raises(UnknownNameError, match="nano"):
        load_reward_model("grm-900b")
    seen = []
    register_reward_model("bar", lambda *given: seen.append(given) or PairwiseModel(BarModel()))
    fusion = FusionConfig(mode="consistency")
    assert load_reward_model("bar", "some/path", fusion).model_id.name == "bar"
    assert seen == [("some/path", fusion)]
