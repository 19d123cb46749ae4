"""The demo node's parts without ROS: authority, senses, decisions and waits on a hand-made clock."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dopamine_core.errors import EpisodeError, RecordingError
from dopamine_core.types import (
    CommandRecord,
    CommandSource,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    JointSample,
    LimitReason,
    Outcome,
    OutcomeSource,
    ResetState,
)
from dopamine_demo_node.authority import Authority, closed
from dopamine_demo_node.deciding import Deciding
from dopamine_demo_node.senses import Senses
from dopamine_demo_node.waiting import Cancelled, Waiting

S = 1_000_000_000
DEMO, ROLLOUT = EpisodeKind.DEMONSTRATION, EpisodeKind.ROLLOUT


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.ns = 100 * S

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[EpisodeInfo]:
    return []


@pytest.fixture
def authority(clock: Clock, told: list[EpisodeInfo], tmp_path: Path) -> Authority:
    return Authority(now_ns=clock, folder=tmp_path, tell=told.append)


def test_every_change_is_told_in_order(
    authority: Authority, clock: Clock, told: list[EpisodeInfo]
) -> None:
    authority.open(ROLLOUT, "stack")
    clock.ns += S
    authority.takeover()
    authority.close(Outcome.TIME_LIMIT, OutcomeSource.TIMER)
    authority.label(Outcome.SUCCESS)
    assert [(info.state.name, info.takeovers, info.outcome.name) for info in told] == [
        ("OPEN", 0, "UNKNOWN"),
        ("OPEN", 1, "UNKNOWN"),
        ("CLOSED", 1, "TIME_LIMIT"),
        ("CLOSED", 1, "SUCCESS"),
    ]


def test_ids_are_new_and_sort_in_time(authority: Authority) -> None:
    ids = []
    for _ in range(3):
        ids.append(authority.open(ROLLOUT, "t").episode_id)
        authority.close(Outcome.STOP, OutcomeSource.SAFETY)
    assert len(set(ids)) == 3 and ids == sorted(ids)


def test_an_episode_that_cannot_be_recorded_does_not_open(
    authority: Authority, told: list[EpisodeInfo]
) -> None:
    def refuse(_: EpisodeInfo) -> None:
        raise RecordingError(expected="space", got="none", remedy="free some")

    with pytest.raises(RecordingError):
        authority.open(ROLLOUT, "t", begin=refuse)
    assert not authority.is_open and told == []
    assert authority.open(ROLLOUT, "t").bag_path == ""


def test_a_takeover_of_a_demonstration_does_not_count(authority: Authority) -> None:
    authority.open(DEMO, "t")
    authority.takeover()
    assert authority.info.takeovers == 0


def test_the_door_is_shut_while_models_are_swapped(authority: Authority) -> None:
    with authority.between_episodes("the reward model", wait_s=1.0):
        assert authority.swapping
        with pytest.raises(EpisodeError, match="the reward model"):
            authority.open(ROLLOUT, "t")
    assert authority.open(ROLLOUT, "t").state is EpisodeState.OPEN


def test_a_swap_waits_for_the_open_episode_and_gives_up(authority: Authority) -> None:
    authority.open(ROLLOUT, "t")
    with (
        pytest.raises(EpisodeError, match="an end of the open episode"),
        authority.between_episodes("x", wait_s=0.1),
    ):
        pass
    closer = threading.Timer(0.1, authority.close, (Outcome.STOP, OutcomeSource.SAFETY))
    closer.start()
    with authority.between_episodes("x", wait_s=5.0):
        assert not authority.is_open


@pytest.mark.parametrize(
    ("episode_id", "state", "over"),
    [
        ("e1", EpisodeState.OPEN, False),
        ("e1", EpisodeState.CLOSED, True),
        ("e2", EpisodeState.OPEN, True),
    ],
)
def test_an_episode_is_over(episode_id: str, state: EpisodeState, over: bool) -> None:
    assert closed(EpisodeInfo(episode_id, state, ROLLOUT, "t", 1, 1), "e1") is over


def sample(stamp_ns: int) -> JointSample:
    return JointSample(stamp_ns, ("a",), np.zeros(1))


def tick(source: CommandSource, **fields: object) -> CommandRecord:
    return CommandRecord(100 * S, source, 0, np.zeros(6), np.zeros(6), 0.0, 0.0, **fields)  # type: ignore[arg-type]


def test_age_is_carried_by_stamps(clock: Clock) -> None:
    senses = Senses(clock)
    assert senses.age_s("cameras") == float("inf")
    senses.on_frames((clock.ns - 1, clock.ns))
    clock.ns += 3 * S
    assert senses.age_s("cameras") == pytest.approx(3.0)
    since = senses.now()
    clock.ns += S
    assert senses.age_s("cameras", since) == pytest.approx(1.0)


def test_silence_is_noticed_when_the_nodes_clock_stands_still(clock: Clock) -> None:
    senses = Senses(clock)
    senses.on_frames((clock.ns, clock.ns))
    time.sleep(0.2)
    assert senses.age_s("cameras") >= 0.02


def test_a_stop_counts_while_it_is_fresh(clock: Clock) -> None:
    senses = Senses(clock)
    assert not senses.stopped
    senses.on_command(tick(CommandSource.STOP))
    assert senses.stopped
    clock.ns += 2 * S
    assert not senses.stopped


def test_a_stop_counts_also_while_the_arm_cannot_be_measured(clock: Clock) -> None:
    senses = Senses(clock)
    both = LimitReason.STOPPED | LimitReason.STALE_JOINT_STATES
    senses.on_command(tick(CommandSource.NONE, reasons=both))
    assert senses.stopped


def test_the_reason_of_a_failed_reset_is_kept(clock: Clock) -> None:
    senses = Senses(clock)
    senses.on_command(tick(CommandSource.HUMAN, reset_state=ResetState.FAILED, text="taken over"))
    senses.on_command(tick(CommandSource.HOLD, reset_state=ResetState.FAILED))
    assert senses.reset_failure == "taken over"


def test_decisions_name_what_was_newest(clock: Clock) -> None:
    senses = Senses(clock)
    deciding = Deciding(senses, max_age_s=1.0)
    info = EpisodeInfo("e1", EpisodeState.OPEN, DEMO, "t", 1, 1)
    assert deciding.decide(info, clock.ns) is None  # nothing seen yet
    senses.on_frames((clock.ns - 20, clock.ns - 10))
    assert deciding.decide(info, clock.ns) is None  # no joints yet
    senses.on_joints(sample(clock.ns - 5))
    first = deciding.decide(info, clock.ns)
    assert first is not None
    assert (first.index, first.joint_stamp_ns) == (0, clock.ns - 5)
    assert first.frames_key == (clock.ns - 20, clock.ns - 10)
    assert deciding.decide(info, clock.ns) is None  # stamps are unique and increase
    second = deciding.decide(info, clock.ns + 1)
    assert second is not None and second.index == 1
    clock.ns += 2 * S
    senses.on_joints(sample(clock.ns))
    senses.on_frames((clock.ns - 2 * S, clock.ns - 2 * S))
    assert deciding.decide(info, clock.ns) is None  # these frames were long under way
    senses.on_frames((clock.ns, clock.ns))
    other = deciding.decide(EpisodeInfo("e2", EpisodeState.OPEN, DEMO, "t", 1, 1), clock.ns)
    assert other is not None and (other.index, other.episode_id) == (0, "e2")


def test_waits_end_in_time_or_by_cancel(clock: Clock) -> None:
    waiting = Waiting(clock)
    assert waiting.until(lambda: True, 0.0)

    def pass_time() -> bool:
        clock.ns += S
        return False

    assert not waiting.until(pass_time, 3.0)
    with pytest.raises(Cancelled):
        Waiting(clock, lambda: True).until(lambda: False, 3.0)
    assert Waiting(clock, lambda: True).until(lambda: True, 3.0)  # done counts before cancelled
