"""A model behind a guard: the same answers, and nobody waits longer than the limit."""

from __future__ import annotations

import threading
import time

import pytest

from dopamine_core.errors import ImageError, ModelError
from dopamine_core.reward.guarded import GuardedModel
from dopamine_core.reward.labelling import BatchSession
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.session import References, RewardModel, RewardSession
from dopamine_core.types import EncodedImage, FramePair
from tests.core.reward.toy_model import BarModel, bar_pair

REFERENCES = References("fill the bar", (bar_pair(1.0),))


class Gated(BarModel):
    """Answers only while its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.asked = 0

    def hops(self, queries):  # noqa: ANN001, ANN201
        """Answer once the gate is open."""
        self.asked += 1
        assert self.gate.wait(20.0)
        return super().hops(queries)


def test_a_guarded_model_answers_as_the_model_alone() -> None:
    plain, guarded = PairwiseModel(BarModel()), GuardedModel(PairwiseModel(BarModel()), 5.0)
    assert isinstance(guarded, RewardModel)
    one, other = plain.open(REFERENCES), guarded.open(REFERENCES)
    assert isinstance(other, RewardSession)
    for share in (0.0, 0.5, 0.25):
        assert one.peek(bar_pair(share)).progress == other.peek(bar_pair(share)).progress
        assert one.observe(bar_pair(share)).reading == other.observe(bar_pair(share)).reading
    assert other.last is not None and other.last.progress == pytest.approx(0.25, abs=0.03)
    for name in ("model_id", "fast", "success_threshold", "success_signal"):
        assert getattr(guarded, name) == getattr(plain, name)
    assert guarded.running_s == 0.0 and guarded.overdue == ""


def test_what_a_model_raises_comes_through() -> None:
    session = GuardedModel(PairwiseModel(BarModel()), 5.0).open(REFERENCES)
    junk = EncodedImage(1, "jpeg", b"junk", 1, 1)
    with pytest.raises(ImageError):
        session.observe(FramePair(junk, junk))
    assert session.observe(bar_pair(0.0)).ok


def test_a_hang_is_an_error_in_time_and_the_model_is_not_asked_meanwhile() -> None:
    model = Gated()
    guarded = GuardedModel(PairwiseModel(model), 0.2)
    session = guarded.open(REFERENCES)
    session.observe(bar_pair(0.0))
    model.gate.clear()
    began_s = time.monotonic()
    with pytest.raises(ModelError, match=r"within 0\.2 s"):
        session.observe(bar_pair(0.5))
    assert time.monotonic() - began_s < 2.0
    asked = model.asked
    with pytest.raises(ModelError, match="still computing"):
        session.observe(bar_pair(0.6))
    with pytest.raises(ModelError, match="still computing"):
        guarded.open(REFERENCES)
    assert model.asked == asked
    assert guarded.running_s > 0.2 and "inference_timeout_s" in guarded.overdue

    model.gate.set()  # it was only slow: afterwards it is asked again
    while guarded.running_s:
        time.sleep(0.01)
    assert guarded.overdue == ""
    assert session.observe(bar_pair(0.75)).progress == pytest.approx(0.75, abs=0.03)


def test_stopping_frees_who_waits_and_retiring_ends_the_thread() -> None:
    model = Gated()
    guarded = GuardedModel(PairwiseModel(model), 60.0)
    session = guarded.open(REFERENCES)
    model.gate.clear()
    errors: list[Exception] = []

    def ask() -> None:
        try:
            session.observe(bar_pair(0.0))
        except ModelError as error:
            errors.append(error)

    waiting = threading.Thread(target=ask)
    waiting.start()
    while not guarded.running_s:
        time.sleep(0.01)
    guarded.stop()
    waiting.join(2.0)
    assert not waiting.is_alive() and "the node stops" in str(errors[0])
    model.gate.set()
    with pytest.raises(ModelError, match="the node stops"):
        session.observe(bar_pair(0.0))


class Single:
    """A session that answers one sample at a time."""

    def __init__(self) -> None:
        self.inner = PairwiseModel(BarModel()).open(REFERENCES)
        self.last = None
        self.sizes: list[int] = []

    def observe(self, pair: FramePair):  # noqa: ANN201
        """Answer one."""
        return self.inner.observe(pair)

    peek = observe


class Batches(Single):
    """A session that answers batches, counting them."""

    def observe_all(self, pairs):  # noqa: ANN001, ANN201
        """Answer several."""
        self.sizes.append(len(pairs))
        return [self.inner.observe(pair) for pair in pairs]


def test_batches_come_through_where_the_session_has_them() -> None:
    model = PairwiseModel(BarModel())
    inner = Batches()
    model.open = lambda references: inner  # type: ignore[method-assign]
    session = GuardedModel(model, 5.0).open(REFERENCES)
    assert isinstance(session, BatchSession)
    model.open = lambda references: Single()  # type: ignore[method-assign]
    assert not isinstance(GuardedModel(model, 5.0).open(REFERENCES), BatchSession)
    model.open = lambda references: inner  # type: ignore[method-assign]
    readings = session.observe_all([bar_pair(0.0), bar_pair(0.5)])
    assert [round(r.progress, 1) for r in readings] == [0.0, 0.5] and inner.sizes == [2]
