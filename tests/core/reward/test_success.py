"""The success rule: threshold, row, once."""

import math

import pytest

from dopamine_core.reward.success import SuccessEvent, SuccessRule
from dopamine_core.types import Reading, Status


def run(values: list[float | None], threshold: float = 0.9, consecutive: int = 2) -> list[int]:
    rule = SuccessRule(threshold, consecutive)
    fired = []
    for k, value in enumerate(values):
        reading = (
            Reading(Status.INVALID_HOP, progress=0.99)
            if value is None
            else Reading(Status.OK, progress=value)
        )
        if rule.update(k, reading) is not None:
            fired.append(k)
    return fired


@pytest.mark.parametrize(
    ("values", "fired"),
    [
        ([0.1, 0.95, 0.95, 0.95], [2]),
        ([0.95, 0.1, 0.95, 0.1], []),  # one noisy reading does not end an episode
        ([0.95, None, 0.95, 0.95], [3]),  # an invalid reading breaks the row
        ([0.95, 0.95, 0.1, 0.95, 0.95], [1]),  # once per episode
        ([0.9, 0.9], [1]),  # the threshold itself counts
        ([math.nan, math.nan], []),
    ],
)
def test_rule(values: list[float | None], fired: list[int]) -> None:
    assert run(values) == fired


def test_event_carries_what_was_asked() -> None:
    rule = SuccessRule(0.8, 1)
    event = rule.update(77, Reading(Status.OK, progress=0.85))
    assert event is not None and rule.event is event and rule.holds
    assert event == SuccessEvent(77, 0.85, 0.8, 1)
    rule.update(78, Reading(Status.OK, progress=0.1))
    assert not rule.holds and rule.event is event
