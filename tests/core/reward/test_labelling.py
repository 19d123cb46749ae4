"""One answer per decision, live and on recordings; registry and relabelling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.errors import ImageError, UnknownNameError
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
    ModelId,
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


class Odd:
    """A reward model whose answers are given by the test."""

    model_id, fast, success_threshold, success_signal = ModelId("odd", "0dd"), True, 0.9, "progress"
    last = None

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)

    def open(self, references: References) -> Odd:
        """Open itself."""
        return self

    def observe(self, pair: FramePair) -> object:
        """Say the next answer."""
        return self.answers.pop(0)

    peek = observe


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("0.5", Status.MODEL_ERROR),
        (None, Status.MODEL_ERROR),
        (Reading(Status.OK, progress=math.nan), Status.INVALID_HOP),
        (Reading(Status.OK, progress=1.5), Status.INVALID_HOP),
        (Reading(Status.OK, progress=-0.1), Status.INVALID_HOP),
    ],
)
def test_garbage_is_a_status_and_progress_holds(answer: object, status: Status) -> None:
    good = Reading(Status.OK, reading=(0.5, 0.5, 0.5), progress=0.5)
    lane = EpisodeLabeller(Odd(good, answer, good), REFERENCES, SuccessRule(0.9, 2))  # type: ignore[arg-type]
    answers = [lane.label(decision(k), bar_pair(0.5)) for k in range(3)]
    assert [a.reading.status for a in answers] == [Status.OK, status, Status.OK]
    assert answers[1].reading.progress == 0.5 and math.isnan(answers[1].potential)
    assert answers[1].reading.text.startswith("expected")


class Batching(Odd):
    """Answers several at once by the bar's own session, or fails as the test says."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        self.sizes: list[int] = []
        self.inner = PairwiseModel(BarModel()).open(REFERENCES)

    def observe(self, pair: FramePair) -> Reading:
        """Answer one."""
        return self.inner.observe(pair)

    def observe_all(self, pairs: Sequence[FramePair]) -> list[Reading]:
        """Answer several."""
        self.sizes.append(len(pairs))
        if self.fault == "memory":
            raise RuntimeError("out of memory")
        if any(pair.front.data == b"junk" for pair in pairs):
            raise ImageError(expected="a picture", got="junk", remedy="send one")
        readings = [self.inner.observe(pair) for pair in pairs]
        return readings[1:] if self.fault == "short" else readings


def test_a_batch_equals_one_by_one() -> None:
    shares = [0.0, 0.25, 0.5, 1.0, 1.0, 1.0]
    pairs = [bar_pair(share) for share in shares]
    decisions = [decision(k) for k in range(6)]
    model = Batching()
    batch = EpisodeLabeller(model, REFERENCES, SuccessRule(0.9, 2))  # type: ignore[arg-type]
    assert batch.batched
    answers = batch.label_all(decisions, pairs)
    single = labeller()
    expected = [single.label(*one) for one in zip(decisions, pairs, strict=True)]
    assert [a.potential for a in answers] == [a.potential for a in expected]
    assert [a.success for a in answers] == [a.success for a in expected]
    assert batch.success is not None and single.success is not None
    assert batch.success.stamp_ns == single.success.stamp_ns and model.sizes == [6]


def test_one_corrupt_frame_in_a_batch_costs_one_answer() -> None:
    junk = EncodedImage(1, "jpeg", b"junk", 1, 1)
    pairs = [bar_pair(0.0), FramePair(junk, junk), bar_pair(0.5)]
    lane = EpisodeLabeller(Batching(), REFERENCES, SuccessRule(0.9, 2))  # type: ignore[arg-type]
    answers = lane.label_all([decision(k) for k in range(3)], pairs)
    assert [a.reading.status for a in answers] == [Status.OK, Status.BAD_IMAGE, Status.OK]
    assert lane.batched


@pytest.mark.parametrize(("fault", "words"), [("memory", "out of memory"), ("short", "2 readings, got 1")])
def test_a_failed_batch_is_a_status_and_the_rest_is_asked_one_by_one(
    fault: str, words: str
) -> None:
    model = Batching(fault)
    lane = EpisodeLabeller(model, REFERENCES, SuccessRule(0.9, 2))  # type: ignore[arg-type]
    pairs = [bar_pair(0.0), bar_pair(0.5)]
    bad = lane.label_all([decision(0), decision(1)], pairs)
    assert [a.reading.status for a in bad] == [Status.MODEL_ERROR] * 2
    assert words in bad[0].reading.text
    good = lane.label_all([decision(2), decision(3)], pairs)
    assert [a.reading.status for a in good] == [Status.OK] * 2 and model.sizes == [2]


def test_slow_models_shape_with_their_anchored_readings() -> None:
    reading = Reading(Status.OK, reading=(0.9, 0.2, 0.4), progress=0.5)
    assert shaping_potential(reading, fast=True) == 0.5
    assert shaping_potential(reading, fast=False) == pytest.approx(0.3)
    assert math.isnan(shaping_potential(Reading(Status.STALE), fast=True))
    direct = Reading(Status.OK, progress=0.6)  # progress itself, no hops
    assert shaping_potential(direct, fast=False) == 0.6


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


def test_relabelling_in_batches_equals_one_by_one_and_says_how_far_it_is() -> None:
    shares = [0.0, 0.25, None, 0.5, 1.0, 1.0, 1.0]
    model, told = Batching(), []
    new = relabel(episode(shares), model, REFERENCES, batch=3, on_progress=told.append)  # type: ignore[arg-type]
    single = relabel(episode(shares), PairwiseModel(BarModel()), REFERENCES)
    got = [(p.reading.status, p.reading.progress, p.success) for p in new.potentials if p]
    want = [(p.reading.status, p.reading.progress, p.success) for p in single.potentials if p]
    assert got[2][0] is Status.MISSING_FRAME
    assert got == want
    assert told == [3, 6, 7] and model.sizes == [3]


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
