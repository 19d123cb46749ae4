"""The episode state machine: as a table of outcomes, then of refused transitions."""

from __future__ import annotations

import pytest

from dopamine_core.episodes.machine import EpisodeMachine
from dopamine_core.errors import EpisodeError
from dopamine_core.types import EpisodeKind, EpisodeState, Outcome, OutcomeSource

DEMO, ROLLOUT = EpisodeKind.DEMONSTRATION, EpisodeKind.ROLLOUT
REWARD, OPERATOR = OutcomeSource.REWARD_NODE, OutcomeSource.OPERATOR
TIMER, SAFETY = OutcomeSource.TIMER, OutcomeSource.SAFETY


def opened(kind: EpisodeKind = ROLLOUT, limit_ns: int = 0) -> EpisodeMachine:
    machine = EpisodeMachine()
    machine.open(episode_id="e1", kind=kind, task="stack", now_ns=100, time_limit_ns=limit_ns)
    return machine


@pytest.mark.parametrize(
    ("outcome", "source", "terminated"),
    [
        (Outcome.SUCCESS, REWARD, True),
        (Outcome.SUCCESS, OPERATOR, True),
        (Outcome.FAILURE, OPERATOR, True),
        (Outcome.TIME_LIMIT, TIMER, False),
        (Outcome.STOP, SAFETY, False),
        (Outcome.STOP, OPERATOR, False),
        (Outcome.SAFETY_ABORT, SAFETY, False),
        (Outcome.CAMERA_LOSS, SAFETY, False),
        (Outcome.DISCARDED, OPERATOR, False),
    ],
)
def test_outcomes_terminate_or_truncate(
    outcome: Outcome, source: OutcomeSource, terminated: bool
) -> None:
    info = opened().close(outcome, source, 200)
    assert (info.state, info.outcome, info.outcome_source) == (
        EpisodeState.CLOSED,
        outcome,
        source,
    )
    assert (info.terminated, info.truncated) == (terminated, not terminated)
    assert info.end_ns == 200
    assert (info.success_ns > 0) == (outcome is Outcome.SUCCESS)


@pytest.mark.parametrize(
    ("outcome", "source"),
    [
        (Outcome.FAILURE, REWARD),
        (Outcome.SUCCESS, TIMER),
        (Outcome.TIME_LIMIT, OPERATOR),
        (Outcome.CAMERA_LOSS, REWARD),
        (Outcome.UNKNOWN, OPERATOR),
    ],
)
def test_only_the_right_source_may_say_an_outcome(outcome: Outcome, source: OutcomeSource) -> None:
    machine = opened()
    with pytest.raises(EpisodeError, match=source.name):
        machine.close(outcome, source, 200)
    assert machine.is_open


def test_success_lies_at_the_decision_that_saw_it() -> None:
    info = opened().close(Outcome.SUCCESS, REWARD, 200, success_ns=170)
    assert (info.success_ns, info.end_ns) == (170, 200)


@pytest.mark.parametrize("success_ns", [99, 201])
def test_success_outside_the_episode_is_refused(success_ns: int) -> None:
    with pytest.raises(EpisodeError, match="success stamp"):
        opened().close(Outcome.SUCCESS, REWARD, 200, success_ns=success_ns)


def test_a_kept_demonstration_ends_in_success() -> None:
    info = opened(DEMO).keep(200)
    assert info.kept and info.terminated and info.outcome_source is OPERATOR
    assert info.success_ns == 200


def test_a_discarded_demonstration_truncates() -> None:
    info = opened(DEMO).discard(200)
    assert info.truncated and not info.kept and info.success_ns == 0


def test_a_takeover_neither_terminates_nor_truncates() -> None:
    machine = opened()
    machine.takeover()
    info = machine.takeover()
    assert (info.takeovers, info.state) == (2, EpisodeState.OPEN)
    assert not info.terminated and not info.truncated
    assert machine.close(Outcome.TIME_LIMIT, TIMER, 300).takeovers == 2


@pytest.mark.parametrize(("now_ns", "due"), [(100, False), (149, False), (150, True), (999, True)])
def test_time_limit(now_ns: int, due: bool) -> None:
    assert opened(limit_ns=50).overdue(now_ns) is due


def test_without_a_limit_an_episode_never_becomes_overdue() -> None:
    assert not opened().overdue(10**18)


@pytest.mark.parametrize(
    ("outcome", "label", "success_ns", "terminated"),
    [
        (Outcome.TIME_LIMIT, Outcome.SUCCESS, 200, True),
        (Outcome.SUCCESS, Outcome.FAILURE, 0, True),
        (Outcome.SUCCESS, Outcome.SUCCESS, 170, True),
    ],
)
def test_an_operator_corrects_an_outcome(
    outcome: Outcome, label: Outcome, success_ns: int, terminated: bool
) -> None:
    machine = opened()
    source = REWARD if outcome is Outcome.SUCCESS else TIMER
    machine.close(outcome, source, 200, success_ns=170)
    info = machine.label(label, 300)
    assert (info.outcome, info.outcome_source, info.success_ns) == (label, OPERATOR, success_ns)
    assert info.terminated is terminated
    assert f"{outcome.name} by {source.name}" in info.text
    assert (info.end_ns, info.stamp_ns) == (200, 300)


def test_a_demonstration_labelled_failure_is_not_kept() -> None:
    machine = opened(DEMO)
    machine.keep(200)
    assert not machine.label(Outcome.FAILURE, 300).kept


@pytest.mark.parametrize(
    ("act", "match"),
    [
        (lambda m: m.open(episode_id="e2", kind=DEMO, task="t", now_ns=5), "no open episode"),
        (lambda m: m.label(Outcome.SUCCESS, 300), "closed episode"),
        (lambda m: m.keep(300), "demonstration to keep"),
        (lambda m: m.discard(300), "demonstration to discard"),
        (lambda m: m.close(Outcome.FAILURE, OPERATOR, 300, episode_id="e9"), "e9"),
        (lambda m: m.close(Outcome.SUCCESS, OutcomeSource.NONE, 300), "NONE"),
    ],
)
def test_refused_while_a_rollout_is_open(act, match: str) -> None:  # type: ignore[no-untyped-def]
    machine = opened()
    before = machine.info
    with pytest.raises(EpisodeError, match=match):
        act(machine)
    assert machine.info is before


@pytest.mark.parametrize(
    ("act", "match"),
    [
        (lambda m: m.takeover(), "open episode"),
        (lambda m: m.close(Outcome.STOP, SAFETY, 300), "open episode"),
        (lambda m: m.label(Outcome.TIME_LIMIT, 300), "success or failure"),
        (lambda m: m.label(Outcome.SUCCESS, 300, episode_id="e0"), "last episode"),
        (lambda m: m.open(episode_id="e1", kind=DEMO, task="t", now_ns=5), "new episode id"),
        (lambda m: m.open(episode_id="e2", kind=DEMO, task="  ", now_ns=5), "a task"),
        (lambda m: m.open(episode_id="e2", kind=EpisodeKind.NONE, task="t", now_ns=5), "a kind"),
    ],
)
def test_refused_after_a_close(act, match: str) -> None:  # type: ignore[no-untyped-def]
    machine = opened()
    machine.close(Outcome.TIME_LIMIT, TIMER, 200)
    with pytest.raises(EpisodeError, match=match):
        act(machine)


def test_a_discarded_episode_cannot_be_labelled() -> None:
    machine = opened(DEMO)
    machine.discard(200)
    with pytest.raises(EpisodeError, match="not discarded"):
        machine.label(Outcome.SUCCESS, 300)


def test_a_demonstration_is_not_ended_by_the_reward_node() -> None:
    with pytest.raises(EpisodeError, match="keep or discard"):
        opened(DEMO).close(Outcome.SUCCESS, REWARD, 200)
