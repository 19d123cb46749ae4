"""Which reward terms go out when, and that together they are the episode's."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.reward.ledger import Answer, RewardLedger, Transition
from dopamine_core.reward.shaping import EpisodeEnd, ShapingConfig, episode_rewards
from dopamine_core.types import (
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    ModelId,
    Outcome,
    Potential,
    Reading,
    Status,
)

CONFIG = ShapingConfig(0.9)


def answer(index: int, phi: float = 0.5) -> Answer:
    reading = Reading(Status.OK, progress=phi)
    stamp = (index + 1) * 100
    return Answer(Potential(stamp, "e", index, reading, phi, False, ModelId("m", "")))


def closed(outcome: Outcome, success_ns: int = 0) -> EpisodeInfo:
    return EpisodeInfo(
        "e",
        EpisodeState.CLOSED,
        EpisodeKind.ROLLOUT,
        "t",
        0,
        0,
        outcome=outcome,
        success_ns=success_ns,
    )


def indices(transitions: list[Transition]) -> list[int]:
    return [t.left.index for t in transitions]


def test_a_transition_waits_until_it_is_surely_not_the_last() -> None:
    ledger = RewardLedger(CONFIG)
    assert [indices(ledger.add(answer(k))) for k in range(4)] == [[], [], [0], [1]]
    last = ledger.close(closed(Outcome.TIME_LIMIT))
    assert indices(last) == [2] and last[0].terms.truncated


def test_after_success_everything_waits_for_the_close() -> None:
    ledger = RewardLedger(CONFIG)
    sent = [indices(ledger.add(answer(k), 300 if k >= 2 else None)) for k in range(6)]
    assert sent == [[], [], [0], [], [], []]
    final = ledger.close(closed(Outcome.SUCCESS, 300))
    assert indices(final) == [1]
    assert final[0].terms.r_gold == 1.0 and final[0].terms.terminated


def test_an_authority_that_overrules_success_gets_all_transitions() -> None:
    ledger = RewardLedger(CONFIG)
    for k in range(6):
        ledger.add(answer(k), 300 if k >= 2 else None)
    final = ledger.close(closed(Outcome.FAILURE))
    assert indices(final) == [1, 2, 3, 4]
    assert [t.terms.terminated for t in final] == [False, False, False, True]
    assert sum(t.terms.r_gold for t in final) == 0.0


def test_an_operators_earlier_success_sends_the_corrected_last_one_again() -> None:
    ledger = RewardLedger(CONFIG)
    for k in range(5):
        ledger.add(answer(k))
    ledger.close(closed(Outcome.TIME_LIMIT))
    corrected = ledger.close(closed(Outcome.SUCCESS, 300))
    assert indices(corrected) == [1] and corrected[0].terms.r_gold == 1.0
    assert ledger.close(closed(Outcome.SUCCESS, 300)) == []


def test_a_decision_that_comes_after_the_close_moves_the_end() -> None:
    ledger = RewardLedger(CONFIG)
    for k in range(3):
        ledger.add(answer(k))
    assert indices(ledger.close(closed(Outcome.STOP))) == [1]
    late = ledger.add(answer(3))
    assert indices(late) == [1, 2]
    assert [t.terms.truncated for t in late] == [False, True]


@pytest.mark.parametrize("count", [0, 1])
def test_too_short_episodes_have_no_terms(count: int) -> None:
    ledger = RewardLedger(CONFIG)
    for k in range(count):
        ledger.add(answer(k))
    assert ledger.close(closed(Outcome.SUCCESS)) == []


@given(
    st.lists(st.floats(0.0, 1.0), min_size=2, max_size=30),
    st.sampled_from([Outcome.SUCCESS, Outcome.FAILURE, Outcome.TIME_LIMIT]),
    st.integers(0, 35),
)
def test_the_last_terms_sent_per_index_are_the_episodes_rewards(
    phi: list[float], outcome: Outcome, success_index: int
) -> None:
    ledger = RewardLedger(CONFIG)
    success_ns = (success_index + 1) * 100
    known = success_ns if outcome is Outcome.SUCCESS else None
    sent = list(
        itertools.chain.from_iterable(
            ledger.add(answer(k, value), known if k >= success_index else None)
            for k, value in enumerate(phi)
        )
    )
    info = closed(outcome, success_ns if outcome is Outcome.SUCCESS else 0)
    sent += ledger.close(info)
    assert len({t.left.index for t in sent}) == len(sent)
    kept = min(len(phi), success_index + 1) if outcome is Outcome.SUCCESS else len(phi)
    expected = episode_rewards(phi[:kept], EpisodeEnd.of(info), CONFIG).total
    assert [t.terms.total for t in sent] == pytest.approx(list(expected))
