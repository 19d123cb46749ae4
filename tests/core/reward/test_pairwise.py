"""The pairwise session: which questions it asks, what it does with bad answers, several goals."""

import math
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopamine_core.errors import ImageError, ModelError
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.pairwise import PairwiseModel, anchored_progress
from dopamine_core.reward.session import (
    HopAnswer,
    HopModel,
    HopQuery,
    References,
    RewardModel,
    RewardSession,
)
from dopamine_core.types import EncodedImage, FramePair, ModelId, Status
from tests.core.reward.toy_model import BarModel, bar_pair

NAN = math.nan


class Scripted:
    """Records queries by frame name and answers from a list."""

    model_id = ModelId("scripted", "0")
    fast = True
    success_threshold = 0.9

    def __init__(self, answers: list[list[HopAnswer | float]]) -> None:
        self.answers = answers
        self.asked: list[list[tuple[str, str, str, str]]] = []
        self.encoded: list[str] = []

    def encode(self, pair: FramePair) -> str:
        name = pair.front.data.decode()
        if name == "corrupt":
            raise ImageError(expected="bytes", got="corrupt", remedy="none")
        self.encoded.append(name)
        return name

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        self.asked.append([(q.start, q.goal, q.before, q.after) for q in queries])
        return [
            a if isinstance(a, HopAnswer) else HopAnswer(Status.OK, a, 0.1)
            for a in self.answers.pop(0)
        ]


def pair(name: str) -> FramePair:
    image = EncodedImage(1, "jpeg", name.encode(), 1, 1)
    return FramePair(image, image)


def test_questions_of_the_first_samples() -> None:
    model = Scripted([[0.0, -1.0], [0.3, 0.2, -0.8], [0.3, 0.2, -0.8]])
    session = PairwiseModel(model).open(References("t", (pair("goal"),), pair("start")))
    for name in ("a", "b", "c"):
        session.observe(pair(name))
    assert model.asked[0] == [("start", "goal", "a", "a"), ("start", "goal", "goal", "a")]
    assert model.asked[1][0] == ("start", "goal", "a", "b")
    assert model.asked[2] == [
        ("start", "goal", "b", "c"),  # incremental: BEFORE = previous sample
        ("start", "goal", "a", "c"),  # forward: BEFORE = this episode's own first frame
        ("start", "goal", "goal", "c"),  # backward: BEFORE = goal
    ]
    assert sorted(model.encoded) == ["a", "b", "c", "goal", "start"]


def test_without_a_reference_start_the_first_frame_stands_in() -> None:
    model = Scripted([[0.0, -1.0], [0.3, 0.2, -0.8]])
    session = PairwiseModel(model).open(References("t", (pair("goal"),)))
    session.observe(pair("a"))
    session.observe(pair("b"))
    assert {query[0] for asked in model.asked for query in asked} == {"a"}


def test_first_sample_is_zero_progress_with_anchored_readings() -> None:
    session = PairwiseModel(Scripted([[0.1, -0.7]])).open(References("t", (pair("g"),)))
    reading = session.observe(pair("a"))
    assert reading.ok and reading.progress == 0.0
    assert reading.hop == pytest.approx((NAN, 0.1, -0.7), nan_ok=True)
    assert reading.reading == pytest.approx((0.0, 0.1, 0.3))


def test_several_goals_are_averaged_and_asked_in_one_batch() -> None:
    model = Scripted([[0.0, 0.0, -1.0, -1.0], [0.2, 0.4, 0.1, 0.3, -0.9, -0.7]])
    session = PairwiseModel(model).open(References("t", (pair("g"), pair("h"))))
    session.observe(pair("a"))
    reading = session.observe(pair("b"))
    assert reading.hop == pytest.approx((0.3, 0.2, -0.8))
    assert [query[1] for query in model.asked[1]] == ["g", "h"] * 3
    assert [query[2] for query in model.asked[1][4:]] == ["g", "h"]


@pytest.mark.parametrize(
    "bad",
    [
        HopAnswer(Status.INVALID_HOP, text="no </score>"),
        HopAnswer(Status.OK, NAN),
        HopAnswer(Status.OK, 1.5),
        HopAnswer(Status.MODEL_ERROR, text="the server hangs"),
    ],
)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_invalid_hop_makes_the_sample_invalid_and_holds(bad: HopAnswer, which: int) -> None:
    broken: list[HopAnswer | float] = [0.5, 0.5, -0.5]
    broken[which] = bad
    model = Scripted([[0.0, -1.0], [0.5, 0.5, -0.5], broken, [0.2, 0.6, -0.4]])
    session = PairwiseModel(model).open(References("t", (pair("g"),)))
    valid = [session.observe(pair(name)) for name in ("a", "b")][1]
    reading = session.observe(pair("c"))
    wanted = Status.INVALID_HOP if bad.status is Status.OK else bad.status
    assert reading.status is wanted and reading.text
    assert reading.progress == valid.progress == pytest.approx(0.5)
    assert all(math.isnan(value) for value in (*reading.hop, *reading.reading))
    after = session.observe(pair("d"))
    assert model.asked[3][0] == ("a", "g", "b", "d")  # next BEFORE = last valid sample
    assert after.progress == pytest.approx((0.6 + 0.6 + 0.6) / 3)
    assert session.last is after


def test_an_invalid_first_sample_still_starts_the_chain() -> None:
    model = Scripted([[HopAnswer(Status.INVALID_HOP), -1.0], [0.5, 0.2, -0.8]])
    session = PairwiseModel(model).open(References("t", (pair("g"),)))
    assert math.isnan(session.observe(pair("a")).progress)
    assert session.observe(pair("b")).progress == pytest.approx(0.3)
    assert model.asked[1][:2] == [("a", "g", "a", "b"), ("a", "g", "a", "b")]


def test_a_frame_that_cannot_be_decoded_leaves_the_chain() -> None:
    model = Scripted([[0.0, -1.0], [0.5, 0.2, -0.8]])
    session = PairwiseModel(model).open(References("t", (pair("g"),)))
    session.observe(pair("a"))
    with pytest.raises(ImageError):
        session.observe(pair("corrupt"))
    session.observe(pair("b"))
    assert model.asked[1][0] == ("a", "g", "a", "b")


def test_peek_changes_nothing() -> None:
    model = PairwiseModel(BarModel())
    session = model.open(References("fill", (bar_pair(1.0),)))
    session.observe(bar_pair(0.0))
    peeked = session.peek(bar_pair(0.5))
    observed = session.observe(bar_pair(0.5))
    assert peeked.progress == observed.progress


def test_each_frame_is_encoded_once_across_sessions() -> None:
    back_end = BarModel()
    model = PairwiseModel(back_end)
    references = References("fill", (bar_pair(1.0),), bar_pair(0.0))
    lanes = [model.open(references), model.open(references)]
    for share in (0.0, 0.25, 0.5):
        readings = [lane.observe(bar_pair(share)) for lane in lanes]
        assert readings[0].progress == readings[1].progress
    assert back_end.encoded == 2 + 3  # goal and start; three frames


def test_progress_follows_the_pixels_and_sees_a_regression() -> None:
    session = PairwiseModel(BarModel()).open(References("fill", (bar_pair(1.0),)))
    shares = (0.0, 0.25, 0.5, 0.25, 0.75, 1.0)
    progress = [session.observe(bar_pair(share)).progress for share in shares]
    assert progress == pytest.approx(shares, abs=0.03)


def test_uncertainty_is_an_upper_bound_of_the_mean() -> None:
    model = Scripted([[0.0, -1.0], [0.5, 0.4, -0.6], [0.5, 0.4, -0.6]])
    session = PairwiseModel(model).open(References("t", (pair("g"),)))
    session.observe(pair("a"))
    session.observe(pair("b"))
    reading = session.observe(pair("c"))
    before = (0.5 + 0.4 + 0.4) / 3
    assert reading.uncertainty == pytest.approx(0.1 * ((1 - before) + 1 + 1) / 3)


def test_models_satisfy_the_seam() -> None:
    model = PairwiseModel(BarModel(), FusionConfig(mode="consistency"))
    assert isinstance(BarModel(), HopModel)
    assert isinstance(model, RewardModel)
    assert isinstance(model.open(References("t", (bar_pair(1.0),))), RewardSession)


def test_missing_task_or_goal_and_short_answers_are_named() -> None:
    with pytest.raises(ModelError, match="set_task"):
        PairwiseModel(BarModel()).open(References(" ", (bar_pair(1.0),)))
    with pytest.raises(ModelError, match="0 goals"):
        PairwiseModel(BarModel()).open(References("t", ()))
    session = PairwiseModel(Scripted([[0.0]])).open(References("t", (pair("g"),)))
    with pytest.raises(ModelError, match="2 answers, got 1"):
        session.observe(pair("a"))


def test_anchored_progress_is_the_mean_of_the_anchors() -> None:
    session = PairwiseModel(Scripted([[0.1, -0.7]])).open(References("t", (pair("g"),)))
    assert anchored_progress(session.observe(pair("a"))) == pytest.approx(0.2)


class Picky(BarModel):
    """Cannot say anything of some images, whatever they are compared with."""

    def __init__(self, unreadable: set[float]) -> None:
        super().__init__()
        self.unreadable = unreadable
        self.calls = 0

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        self.calls += 1
        answers = super().hops(queries)
        return [
            HopAnswer(Status.INVALID_HOP) if query.after in self.unreadable else answer
            for query, answer in zip(queries, answers, strict=True)
        ]


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=12),
    st.sets(st.integers(0, 20)),
    st.integers(1, 5),
    st.sampled_from(["mean", "consistency"]),
)
@settings(deadline=None, max_examples=60)
def test_several_samples_in_one_go_equal_one_by_one(
    shares: list[int], unreadable: set[int], chunk: int, mode: str
) -> None:
    pairs = [bar_pair(share / 20) for share in shares]
    model = Picky({BarModel().encode(bar_pair(share / 20)) for share in unreadable})
    references = References("t", (bar_pair(1.0),))
    one = PairwiseModel(model, FusionConfig(mode=mode)).open(references)
    alone = [one.observe(p) for p in pairs]
    many = PairwiseModel(model, FusionConfig(mode=mode)).open(references)
    together = [r for k in range(0, len(pairs), chunk) for r in many.observe_all(pairs[k : k + chunk])]
    for a, b in zip(alone, together, strict=True):
        assert (a.status, a.text) == (b.status, b.text)
        assert a.hop == pytest.approx(b.hop, nan_ok=True, abs=0)
        assert a.progress == pytest.approx(b.progress, nan_ok=True, abs=0)


def test_samples_in_one_go_are_one_call_when_all_are_valid() -> None:
    model = Picky(set())
    session = PairwiseModel(model).open(References("t", (bar_pair(1.0),)))
    session.observe_all([bar_pair(share / 8) for share in range(8)])
    assert model.calls == 1
    model.unreadable = {model.encode(bar_pair(0.5))}
    session.observe_all([bar_pair(share / 8) for share in range(8)])
    assert model.calls == 3  # what follows the unreadable one is asked anew, against the one before


def test_a_frame_that_cannot_be_decoded_leaves_the_chain_before_the_batch() -> None:
    session = PairwiseModel(BarModel()).open(References("t", (bar_pair(1.0),)))
    session.observe(bar_pair(0.0))
    junk = FramePair(EncodedImage(1, "jpeg", b"x", 1, 1), EncodedImage(1, "jpeg", b"x", 1, 1))
    with pytest.raises(ImageError):
        session.observe_all([bar_pair(0.5), junk])
    assert session.observe(bar_pair(0.25)).hop[0] == pytest.approx(0.25, abs=0.03)


def test_inference_time_holds_the_encoding() -> None:
    class Slow(BarModel):
        def encode(self, pair: FramePair) -> float:
            time.sleep(0.02)
            return super().encode(pair)

    session = PairwiseModel(Slow()).open(References("t", (bar_pair(1.0),)))
    assert session.observe(bar_pair(0.1)).inference_ns >= 20_000_000
    assert session.peek(bar_pair(0.2)).inference_ns >= 20_000_000
