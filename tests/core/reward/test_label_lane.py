"""The label lane on a hand-made clock: every decision is answered once, in order."""

from types import SimpleNamespace

import pytest

from dopamine_core.errors import ConfigError, EpisodeError
from dopamine_core.reward.decision_queue import LabelLaneConfig
from dopamine_core.reward.label_lane import LabelLane, LaneOutput
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.session import References
from dopamine_core.reward.shaping import ShapingConfig
from dopamine_core.reward.success import SuccessConfig
from dopamine_core.types import (
    Decision,
    DecisionOwner,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    FramePair,
    Outcome,
    Status,
)
from tests.core.reward.toy_model import BarModel, bar_pair

MS = 1_000_000
PERIOD = 100 * MS


class Bench:
    """A lane with a clock and frames that can be withheld."""

    def __init__(
        self,
        model: bool = True,
        references: bool = True,
        config: LabelLaneConfig | None = None,
    ) -> None:
        self.now_ns = 10_000 * MS
        self.frames: dict[tuple[int, int], FramePair] = {}
        self.lane = LabelLane(
            config or LabelLaneConfig(), ShapingConfig(), SuccessConfig(), self.frames.get
        )
        if model:
            self.lane.swap_model(PairwiseModel(BarModel()))
        if references:
            self.lane.set_references(References("fill", (bar_pair(1.0),)))

    def decide(self, index: int, share: float | None, episode: str = "e1") -> Decision:
        stamp = self.now_ns + index * PERIOD
        pair = None if share is None else bar_pair(share, stamp)
        if pair is not None:
            self.frames[pair.key] = pair
        decision = Decision(stamp, episode, index, DecisionOwner.AGENT, stamp, stamp, stamp)
        self.lane.put_decision(decision, self.now_ns)
        return decision

    def state(
        self, state: EpisodeState, outcome: Outcome = Outcome.UNKNOWN, **fields: object
    ) -> None:
        info = EpisodeInfo(
            str(fields.pop("episode", "e1")),
            state,
            EpisodeKind.ROLLOUT,
            "fill",
            self.now_ns,
            self.now_ns,
            outcome=outcome,
            **fields,  # type: ignore[arg-type]
        )
        self.lane.put_episode(info, self.now_ns)

    def run(self, wait_ms: int = 0) -> list[LaneOutput]:
        self.now_ns += wait_ms * MS
        outputs: list[LaneOutput] = []
        while step := self.lane.step(self.now_ns):
            outputs += step
        return outputs


def answered(outputs: list[LaneOutput]) -> list[tuple[int, Status]]:
    answers = [o.answer.potential for o in outputs if o.answer is not None]
    return [(p.index, p.reading.status) for p in answers]


OK = Status.OK


def test_a_whole_episode() -> None:
    bench = Bench()
    bench.state(EpisodeState.OPEN)
    for k, share in enumerate((0.0, 0.4, 1.0, 1.0, 1.0, 1.0)):
        bench.decide(k, share)
    outputs = bench.run()
    assert outputs[0].opened
    assert answered(outputs) == [(k, OK) for k in range(6)]
    events = [o.success for o in outputs if o.success]
    assert len(events) == 1 and events[0].stamp_ns == 10_000 * MS + 4 * PERIOD
    bench.state(EpisodeState.CLOSED, Outcome.SUCCESS, success_ns=events[0].stamp_ns)
    assert bench.run(100) == []  # decisions may still be on their way
    outputs += bench.run(250)
    terms = [t for o in outputs for t in o.transitions]
    assert [t.left.index for t in terms] == [0, 1, 2, 3]
    assert [t.terms.r_gold for t in terms] == [0.0, 0.0, 0.0, 1.0]


def test_late_frames_are_waited_for_and_keep_the_order() -> None:
    bench = Bench()
    bench.state(EpisodeState.OPEN)
    bench.decide(0, 0.0)
    late = bench.decide(1, None)
    bench.decide(2, 0.5)
    assert answered(bench.run()) == [(0, OK)]
    assert answered(bench.run(200)) == []
    bench.lane.put_pair(bar_pair(0.3, late.stamp_ns))
    assert answered(bench.run(50)) == [(1, OK), (2, OK)]


def test_frames_that_never_come_are_answered_at_the_deadline() -> None:
    bench = Bench()
    bench.state(EpisodeState.OPEN)
    bench.decide(0, 0.0)
    bench.decide(1, None)
    bench.decide(2, 0.5)
    outputs = bench.run() + bench.run(301)
    assert answered(outputs) == [(0, OK), (1, Status.MISSING_FRAME), (2, OK)]
    missing = outputs[-2].answer
    assert missing is not None and "reward/frame_pairs" in missing.potential.reading.text


def test_frames_are_held_while_a_decision_waits_its_turn() -> None:
    bench = Bench()
    bench.state(EpisodeState.OPEN)
    bench.decide(0, None)
    bench.decide(1, 0.5)
    bench.run()
    bench.frames.clear()  # the buffer forgot them meanwhile
    assert answered(bench.run(301)) == [(0, Status.MISSING_FRAME), (1, OK)]


def test_decisions_before_their_open_and_after_their_close_are_answered() -> None:
    bench = Bench()
    bench.decide(0, 0.0)
    bench.state(EpisodeState.OPEN)
    bench.decide(1, 0.5)
    outputs = bench.run()
    assert [o.opened for o in outputs] == [True, False, False]
    bench.state(EpisodeState.CLOSED, Outcome.TIME_LIMIT)
    bench.decide(2, 0.6)  # overtaken by the close
    outputs = bench.run() + bench.run(301)
    assert answered(outputs) == [(2, OK)]
    assert [t.terms.truncated for o in outputs for t in o.transitions] == [False, True]
    bench.decide(3, 0.7)
    assert answered(bench.run()) == [(3, OK)]


def test_repeated_decisions_are_answered_once() -> None:
    bench = Bench()
    decision = bench.decide(0, 0.0)
    bench.lane.put_decision(decision, bench.now_ns)
    assert answered(bench.run()) == [(0, OK)]
    assert bench.lane.ignored_decisions == 1


@pytest.mark.parametrize(
    ("model", "references", "status", "words"),
    [
        (True, False, Status.NO_TASK, "reward/set_task"),
        (False, True, Status.MODEL_ERROR, "reward/load_model"),
    ],
)
def test_without_task_or_model_every_decision_is_still_answered(
    model: bool, references: bool, status: Status, words: str
) -> None:
    bench = Bench(model, references)
    bench.state(EpisodeState.OPEN)
    bench.decide(0, 0.0)
    bench.decide(1, 0.5)
    outputs = bench.run()
    assert answered(outputs) == [(0, status), (1, status)]
    last = outputs[-1].answer
    assert last is not None and words in last.potential.reading.text


def test_bad_references_are_a_status() -> None:
    bench = Bench()
    junk = bar_pair(1.0)
    bench.lane.set_references(
        References("fill", (FramePair(type(junk.front)(1, "jpeg", b"junk", 1, 1), junk.wrist),))
    )
    bench.decide(0, 0.0)
    assert answered(bench.run()) == [(0, Status.MODEL_ERROR)]


def test_task_set_while_open_applies_to_the_next_episode() -> None:
    bench = Bench()
    bench.state(EpisodeState.OPEN)
    bench.decide(0, 0.0)
    bench.run()
    assert bench.lane.set_references(References("half", (bar_pair(0.5),)))
    bench.decide(1, 0.5)
    first = bench.run()[0].answer
    bench.state(EpisodeState.CLOSED, Outcome.TIME_LIMIT)
    bench.run(301)
    bench.decide(0, 0.0, "e2")
    bench.decide(1, 0.5, "e2")
    second = bench.run()[1].answer
    assert first is not None and first.potential.potential == pytest.approx(0.5, abs=0.03)
    assert second is not None and second.potential.potential == pytest.approx(1.0, abs=0.03)


def test_models_are_swapped_between_episodes_only() -> None:
    bench = Bench()
    bench.state(EpisodeState.OPEN)
    with pytest.raises(EpisodeError, match="close the episode first"):
        bench.lane.swap_model(PairwiseModel(BarModel()))
    bench.run()
    with pytest.raises(EpisodeError):
        bench.lane.refuse_if_open()
    bench.state(EpisodeState.CLOSED, Outcome.DISCARDED)
    bench.run(10)
    bench.lane.refuse_if_open()  # the close is known ...
    assert not bench.lane.settled  # ... but late decisions may come
    with pytest.raises(EpisodeError, match="answers still due"):
        bench.lane.swap_model(PairwiseModel(BarModel()))
    bench.run(301)
    assert bench.lane.settled
    bench.lane.swap_model(PairwiseModel(BarModel()), threshold=0.7)
    assert bench.lane.threshold == 0.7
    with pytest.raises(ConfigError):
        bench.lane.swap_model(PairwiseModel(BarModel()), threshold=1.5)


def test_an_idle_authority_frees_an_abandoned_episode() -> None:
    bench = Bench()
    bench.decide(0, 0.0)
    bench.run()
    bench.state(EpisodeState.IDLE, episode="")
    bench.run()
    bench.lane.refuse_if_open()


def test_frames_come_to_a_waiting_decision_while_the_model_computes() -> None:
    bench = Bench()
    bench.state(EpisodeState.OPEN)
    bench.decide(0, 0.0)
    bench.run()
    late = bench.decide(1, None)
    bench.lane.put_pair(bar_pair(0.5, late.stamp_ns))  # no step in between: the model is busy
    assert bench.lane.held_mb > 0.0
    assert answered(bench.run(5000)) == [(1, OK)]
    assert bench.lane.held_mb == 0.0


def test_frames_that_nobody_waits_for_are_not_kept() -> None:
    bench = Bench()
    lost = bench.decide(0, None)
    assert answered(bench.run(301)) == [(0, Status.MISSING_FRAME)]
    bench.lane.put_pair(bar_pair(0.5, lost.stamp_ns))
    assert bench.lane.held_mb == 0.0


def test_memory_is_bounded_and_what_finds_no_room_says_so() -> None:
    size = len(bar_pair(0.5).front.data) * 2
    bench = Bench(config=LabelLaneConfig(held_mb=2.5 * size / 1e6))
    bench.state(EpisodeState.OPEN)
    for k, share in enumerate((0.5, 0.5, 0.5, 0.5)):
        bench.decide(k, share)
    assert bench.lane.held_mb <= 2.5 * size / 1e6
    assert (bench.lane.due, bench.lane.refused_frames) == (4, 2)
    outputs = bench.run()
    missing = Status.MISSING_FRAME
    assert answered(outputs) == [(0, OK), (1, OK), (2, missing), (3, missing)]
    told = outputs[-1].answer
    assert told is not None and "label.held_mb" in told.potential.reading.text
    bench.decide(4, 0.5)  # there is room again
    assert answered(bench.run()) == [(4, OK)]


class BatchModel(PairwiseModel):
    """Answers several samples in one go, and counts them."""

    def __init__(self) -> None:
        super().__init__(BarModel())
        self.sizes: list[int] = []

    def open(self, references: References):  # noqa: ANN201
        """Count what the batch method is given."""
        session = super().open(references)
        answer = session.observe_all

        def observe_all(pairs):  # noqa: ANN001, ANN202
            self.sizes.append(len(pairs))
            return answer(pairs)

        session.observe_all = observe_all  # type: ignore[method-assign]
        return session


class OneByOne(PairwiseModel):
    """Answers one sample at a time."""

    def open(self, references: References):  # noqa: ANN201
        """Hide the batch method."""
        session = super().open(references)
        return SimpleNamespace(observe=session.observe, peek=session.peek, last=None)


def test_a_backlog_is_answered_in_batches_with_the_same_result() -> None:
    shares = (0.0, 0.4, 1.0, 1.0, 1.0, 1.0, 1.0)
    several = LabelLaneConfig(batch=4)
    batched, single = Bench(model=False, config=several), Bench(model=False, config=several)
    model = BatchModel()
    batched.lane.swap_model(model)
    single.lane.swap_model(OneByOne(BarModel()))
    results = []
    for bench in (batched, single):
        bench.state(EpisodeState.OPEN)
        for k, share in enumerate(shares):
            bench.decide(k, share)
        outputs = bench.run()
        success = next(o for o in outputs if o.success)
        assert success.success is not None and success.answer is not None
        assert success.answer.potential.decision_stamp_ns == success.success.stamp_ns
        bench.state(EpisodeState.CLOSED, Outcome.SUCCESS, success_ns=success.success.stamp_ns)
        outputs += bench.run(301)
        terms = [(t.left.index, t.terms) for o in outputs for t in o.transitions]
        results.append((answered(outputs), success.success, terms))
    assert results[0] == results[1]
    assert model.sizes == [4, 3]


def test_a_decision_without_frames_parts_a_batch() -> None:
    bench = Bench(model=False, config=LabelLaneConfig(batch=4))
    model = BatchModel()
    bench.lane.swap_model(model)
    bench.state(EpisodeState.OPEN)
    for k, share in enumerate((0.0, 0.2, None, 0.5, 0.6)):
        bench.decide(k, share)
    outputs = bench.run() + bench.run(301)
    missing = Status.MISSING_FRAME
    assert answered(outputs) == [(0, OK), (1, OK), (2, missing), (3, OK), (4, OK)]


def test_a_task_set_while_the_model_lags_behind_is_for_later_episodes() -> None:
    bench = Bench()
    bench.state(EpisodeState.OPEN)
    bench.decide(0, 0.0)
    bench.decide(1, 0.5)  # nothing has been stepped: the model was busy with an earlier episode
    bench.lane.set_references(References("half", (bar_pair(0.5),)))
    answer = bench.run()[-1].answer
    assert answer is not None and answer.potential.potential == pytest.approx(0.5, abs=0.03)


def test_a_refused_swap_says_how_many_answers_are_due() -> None:
    bench = Bench()
    bench.state(EpisodeState.OPEN)
    for k in range(3):
        bench.decide(k, 0.1 * k)
    bench.state(EpisodeState.CLOSED, Outcome.TIME_LIMIT)
    with pytest.raises(EpisodeError, match="3 answers still due, about 0 s"):
        bench.lane.refuse_if_due()
    bench.lane.answer_s = 2.4
    with pytest.raises(EpisodeError, match="about 7 s with the present model"):
        bench.lane.swap_model(PairwiseModel(BarModel()))
    bench.run(301)
    bench.lane.refuse_if_due()


def test_why_there_is_no_model_is_told_as_it_is_now() -> None:
    bench = Bench(model=False)
    said = ["loading, 1 s"]
    bench.lane.why_no_model = lambda: said[0]
    bench.decide(0, 0.0)
    first = bench.run()[0].answer
    said[0] = "loading, 2 s"
    bench.decide(1, 0.0)
    second = bench.run()[0].answer
    assert first is not None and first.potential.reading.text == "loading, 1 s"
    assert second is not None and second.potential.reading.text == "loading, 2 s"
