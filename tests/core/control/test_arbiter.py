"""Who moves the arm: the whole table of priorities, and the dead-man's hysteresis."""

from __future__ import annotations

import itertools

import pytest

from dopamine_core.control.arbiter import DeadMan, Standing, choose
from dopamine_core.types import CommandSource as Source
from dopamine_core.types import LimitReason as Reason

FIELDS = ("joints_fresh", "images_fresh", "stopped", "human", "reset", "policy")


@pytest.mark.parametrize("values", list(itertools.product([False, True], repeat=len(FIELDS))))
def test_priorities(values: tuple[bool, ...]) -> None:
    standing = dict(zip(FIELDS, values, strict=True))
    wanted = Source.HOLD
    if standing["policy"] and standing["images_fresh"]:
        wanted = Source.POLICY
    if standing["reset"]:
        wanted = Source.RESET
    if standing["human"]:
        wanted = Source.HUMAN
    if standing["stopped"]:
        wanted = Source.STOP
    if not standing["joints_fresh"]:
        wanted = Source.NONE
    source, reasons = choose(Standing(**standing))
    assert source is wanted
    assert (Reason.STALE_JOINT_STATES in reasons) == (not standing["joints_fresh"])
    assert (Reason.STALE_IMAGES in reasons) == (source is Source.HOLD and standing["policy"])


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, Reason.NONE),
        ({"policy_awaited": True}, Reason.STALE_POLICY),
        (
            {"policy_awaited": True, "images_fresh": False},
            Reason.STALE_POLICY | Reason.STALE_IMAGES,
        ),
        ({"policy": True, "images_fresh": False}, Reason.STALE_IMAGES),
        ({"human": True, "policy_asks": True}, Reason.TAKEN_OVER),
        ({"human": True, "reset": True}, Reason.TAKEN_OVER),
        ({"human": True}, Reason.NONE),
        ({"stopped": True, "joints_fresh": False}, Reason.STALE_JOINT_STATES | Reason.STOPPED),
        ({"stopped": True}, Reason.STOPPED),
    ],
)
def test_reasons(changes: dict[str, bool], reasons: Reason) -> None:
    still = dict.fromkeys(FIELDS, False) | {"joints_fresh": True, "images_fresh": True}
    assert choose(Standing(**{**still, **changes}))[1] == reasons


def test_dead_man_engages_after_a_while_and_rests_before_it_lets_go() -> None:
    switch = DeadMan(engage_ns=40, release_ns=400)
    timeline = [  # now, held, may move, engaged
        (0, True, False, False),
        (20, True, False, False),
        (40, True, True, True),
        (60, False, False, True),  # at rest at once, others must wait
        (80, True, True, True),  # a fluttering finger does not switch sources
        (100, False, False, True),
        (479, False, False, True),
        (480, False, False, False),
        (500, True, False, False),
        (540, True, True, True),
    ]
    for now, held, may_move, engaged in timeline:
        assert (switch.update(held, now), switch.engaged) == (may_move, engaged), now


def test_a_short_touch_does_not_engage() -> None:
    switch = DeadMan(engage_ns=40, release_ns=400)
    for now in range(0, 1000, 40):
        assert not switch.update(now % 80 == 0, now)
    assert not switch.engaged
