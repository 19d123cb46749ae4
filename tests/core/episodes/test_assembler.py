"""The assembler: one definition of the executed action, and the same episode whatever the order of
arrival.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from dopamine_core.episodes.assembler import EpisodeAssembler
from dopamine_core.episodes.data import EpisodeData
from dopamine_core.episodes.ticks import TickLog
from dopamine_core.errors import EpisodeError
from dopamine_core.types import (
    CommandSource,
    DecisionOwner,
    EpisodeState,
    Outcome,
    OutcomeSource,
    Status,
)
from tests.core.episodes.hand_made import (
    MS,
    TICK,
    decision,
    info,
    joints,
    pair,
    potential,
    stamp,
    tick,
    ticks,
)

N = 6
END = stamp(N - 1) + 40 * MS
LATER = END + 1000 * MS


def items(closed=None) -> list[tuple[str, object]]:  # type: ignore[no-untyped-def]
    """Everything of an episode of N decisions, in order of time."""
    made: list[tuple[str, object]] = [("on_episode", info(state=EpisodeState.OPEN))]
    for k in range(N):
        made += [("add_pair", pair(k)), ("add_joints", joints(k)), ("add_decision", decision(k))]
        made.append(("add_potential", potential(k, k / N)))
    made += [("add_command", record) for record in ticks(N + 1)]
    made.append(("on_episode", closed or info(end_ns=END, success_ns=END)))
    return made


def fed(made: list[tuple[str, object]]) -> EpisodeAssembler:
    assembler = EpisodeAssembler()
    for method, item in made:
        getattr(assembler, method)(item)
    return assembler


def only(assembler: EpisodeAssembler, now_ns: int = LATER) -> EpisodeData:
    [episode] = assembler.pop_ready(now_ns)
    return episode


def test_a_whole_episode() -> None:
    episode = only(fed(items()))
    assert [d.index for d in episode.decisions] == list(range(N))
    assert [p.key for p in episode.pairs if p] == [pair(k).key for k in range(N)]
    assert [j.stamp_ns for j in episode.joints if j] == [joints(k).stamp_ns for k in range(N)]
    assert [p.potential for p in episode.potentials if p] == [k / N for k in range(N)]
    # Five ticks of 1 mm lie in each interval; the last decision is only an observation.
    np.testing.assert_allclose(episode.actions[:-1, 0], 0.005)
    np.testing.assert_array_equal(episode.actions[:-1, 1:], 0.0)
    assert np.isnan(episode.actions[-1]).all()
    assert all(position is not None for position in episode.commanded)


@pytest.mark.parametrize("seed", range(8))
def test_order_of_arrival_does_not_matter(seed: int) -> None:
    made = items()
    random.Random(seed).shuffle(made)
    shuffled, straight = only(fed(made)), only(fed(items()))
    np.testing.assert_array_equal(shuffled.actions, straight.actions)
    for name in ("info", "decisions", "pairs", "potentials"):
        assert getattr(shuffled, name) == getattr(straight, name)
    assert [j.stamp_ns for j in shuffled.joints if j] == [j.stamp_ns for j in straight.joints if j]


def test_it_waits_for_a_late_potential_and_no_longer_than_told() -> None:
    made = [item for item in items() if item != ("add_potential", potential(3, 3 / N))]
    assembler = fed(made)
    assert assembler.pop_ready(LATER) == []
    assembler.add_potential(potential(3, 3 / N))
    assert only(assembler).potentials[3] == potential(3, 3 / N)

    overdue = only(fed(made), END + 10_000 * MS)
    assert overdue.potentials[3] is None and overdue.potentials[4] is not None


def test_the_first_answer_counts() -> None:
    made = [*items(), ("add_potential", potential(3, 0.0, status=Status.MODEL_ERROR))]
    assert only(fed(made)).potentials[3] == potential(3, 3 / N)


def test_it_is_not_ready_before_it_settled() -> None:
    assembler = fed(items())
    assert assembler.pop_ready(END + 100 * MS) == []
    assert len(assembler.pop_ready(END + 300 * MS)) == 1
    assert assembler.pop_ready(END + 300 * MS) == []


@pytest.mark.parametrize("field", ["pairs", "joints"])
def test_what_is_lost_is_none(field: str) -> None:
    lost = {"pairs": ("add_pair", pair(2).key), "joints": ("add_joints", joints(2).stamp_ns)}[field]
    made = [
        (method, item)
        for method, item in items()
        if not (method == lost[0] and getattr(item, "key", getattr(item, "stamp_ns", 0)) == lost[1])
    ]
    episode = only(fed(made), END + 10_000 * MS)
    rows = getattr(episode, field)
    assert [k for k, row in enumerate(rows) if row is None] == [2]


def test_a_lost_decision_makes_the_action_before_it_unknown() -> None:
    made = [item for item in items() if item != ("add_decision", decision(2))]
    episode = only(fed(made), END + 10_000 * MS)
    assert [d.index for d in episode.decisions] == [0, 1, 3, 4, 5]
    unknown = np.isnan(episode.actions[:, 0])
    assert unknown.tolist() == [False, True, False, False, True]


@pytest.mark.parametrize(
    ("owner", "known"), [(DecisionOwner.DEMO, False), (DecisionOwner.AGENT, True)]
)
def test_a_person_goes_on_over_a_hole_in_the_decisions_but_a_policy_action_ends(
    owner: DecisionOwner, known: bool
) -> None:
    late = {
        3: 3.3,
        4: 4.3,
        5: 5.3,
    }  # decision 3 comes 30 ms late, decision 2 to 3 takes 2.3 periods
    log = TickLog(max_gap_ns=100 * MS)
    for record in ticks(8):
        log.add(record)
    decisions = [
        dataclasses.replace(decision(k, owner=owner), stamp_ns=stamp(late.get(k, k) + (k > 2)))
        for k in range(N)
    ]
    unknown = np.isnan(log.actions(decisions)[:, 0])
    assert unknown.tolist() == [False, False, not known, False, False, True]


def test_lost_ticks_make_an_action_unknown() -> None:
    made = [
        (method, item)
        for method, item in items()
        if method != "add_command" or not stamp(2) - 60 * MS < item.stamp_ns < stamp(2) + 80 * MS
    ]
    unknown = np.isnan(only(fed(made)).actions[:, 0])
    assert unknown.tolist() == [False, True, True, False, False, True]


def test_without_ticks_there_is_no_action() -> None:
    made = [(method, item) for method, item in items() if method != "add_command"]
    episode = only(fed(made), END + 10_000 * MS)
    assert np.isnan(episode.actions).all()
    assert episode.commanded == (None,) * N


def test_a_policy_tick_belongs_to_the_decision_whose_stamp_it_carries() -> None:
    # Actions are released 60 ms after their decision: the last three ticks of each lie behind the
    # next decision.
    delayed = [
        tick(
            stamp(k) + 60 * MS + i * TICK,
            0.001 * (k + 1),
            source=CommandSource.POLICY,
            decision_ns=stamp(k),
            gripper=k / N,
        )
        for k in range(N)
        for i in range(5)
    ]
    made = [(method, item) for method, item in items() if method != "add_command"]
    before = [tick(stamp(0) + i * TICK, 0.0, source=CommandSource.HOLD) for i in range(3)]
    made += [("add_command", record) for record in before + delayed]
    episode = only(fed(made))
    np.testing.assert_allclose(episode.actions[:-1, 0], [0.005 * (k + 1) for k in range(N - 1)])
    np.testing.assert_allclose(episode.actions[:-1, 6], [k / N for k in range(N - 1)])


def test_a_takeover_counts_what_both_executed() -> None:
    records = [
        tick(stamp(0) + 10 * MS, 0.001, source=CommandSource.POLICY, decision_ns=stamp(0)),
        tick(stamp(0) + 30 * MS, 0.001, source=CommandSource.POLICY, decision_ns=stamp(0)),
        *[tick(stamp(0) + (50 + 20 * i) * MS, -0.002) for i in range(3)],
    ]
    made = [
        (method, item)
        for method, item in items()
        if method != "add_command" or item.stamp_ns > stamp(1)
    ]
    episode = only(fed(made + [("add_command", record) for record in records]))
    assert episode.actions[0, 0] == pytest.approx(2 * 0.001 - 3 * 0.002)


def test_decisions_after_success_are_dropped() -> None:
    closed = info(end_ns=END, success_ns=stamp(3), source=OutcomeSource.REWARD_NODE)
    episode = only(fed(items(closed)))
    assert len(episode) == 4
    assert np.isnan(episode.actions[-1]).all() and np.isfinite(episode.actions[:-1]).all()


def test_decisions_after_the_close_do_not_belong() -> None:
    closed = info(end_ns=stamp(3) + MS, outcome=Outcome.TIME_LIMIT)
    assert len(only(fed(items(closed)))) == 4


def test_an_operators_correction_gives_the_episode_out_again() -> None:
    success = info(end_ns=END, success_ns=stamp(3), source=OutcomeSource.REWARD_NODE)
    assembler = fed(items(success))
    assert len(only(assembler)) == 4
    assembler.on_episode(info(end_ns=END, outcome=Outcome.FAILURE))
    again = only(assembler)
    assert again.info.outcome is Outcome.FAILURE and len(again) == N
    assert np.isfinite(again.actions[:-1]).all()
    assert assembler.pop_ready(LATER) == []


def test_an_unfinished_episode_gives_way_to_the_next() -> None:
    assembler = EpisodeAssembler()
    assembler.add_decision(decision(0, "lost"))
    for k in range(2, 5):
        assembler.add_decision(decision(k, "e2"))
    begun = info(episode_id="e2", end_ns=stamp(5), outcome=Outcome.TIME_LIMIT)
    assembler.on_episode(begun)
    assert [e.info.episode_id for e in assembler.pop_ready(stamp(5) + 10_000 * MS)] == ["e2"]
    assert assembler.flush() == []


def test_repeated_items_count_once() -> None:
    made = items()
    twice = [item for item in made[:-1] for _ in range(2)] + made[-1:]
    np.testing.assert_array_equal(only(fed(twice)).actions, only(fed(made)).actions)


def test_rows_of_unequal_length_are_refused() -> None:
    with pytest.raises(EpisodeError, match="one row per decision"):
        EpisodeData(
            info(end_ns=END), (decision(0),), (), (None,), np.zeros((1, 7)), (None,), (None,)
        )
