"""Joystick and twist to commands."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.control.teleop import Button, ButtonEdges, JoyMap, JoyTeleop, command_of_twist

MAP = JoyMap()


@pytest.mark.parametrize(
    ("axes", "twist"),
    [
        ([0, 1, 0, 0, 0], [0.08, 0, 0, 0, 0, 0]),
        ([1, 0, 0, 0, 0], [0, 0.08, 0, 0, 0, 0]),
        ([0, 0, 0, 0, -1], [0, 0, -0.08, 0, 0, 0]),
        ([0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0.8]),
        ([0, 0.04, 0, 0, 0], [0] * 6),  # inside the dead band
        ([0, 7.0, 0, 0, 0], [0.08, 0, 0, 0, 0, 0]),  # clipped
        ([], [0] * 6),
        ([0, 1], [0.08, 0, 0, 0, 0, 0]),
    ],
)
def test_axes(axes: list[float], twist: list[float]) -> None:
    np.testing.assert_allclose(MAP.twist(axes), twist)


def test_a_broken_axis_is_passed_on_to_be_refused() -> None:
    assert math.isnan(MAP.twist([0, math.nan, 0, 0, 0])[0])


@given(st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4))
def test_axes_of_is_the_inverse_of_twist(parts: list[float]) -> None:
    twist = np.array([*(0.08 * part for part in parts[:3]), 0.0, 0.0, 0.8 * parts[3]])
    back = MAP.twist(MAP.axes_of(twist))
    wanted = np.where(np.abs([*parts[:3], 0, 0, parts[3]]) < 0.0500001, back, twist)
    np.testing.assert_allclose(back, wanted, atol=1e-12)


@given(st.sets(st.sampled_from(Button)))
def test_buttons_there_and_back(held: set[Button]) -> None:
    assert MAP.held(MAP.buttons_of(held)) == held


def test_presses_are_rising_edges_and_the_first_message_has_none() -> None:
    edges = ButtonEdges()
    held = [{Button.RECORD}, {Button.RECORD}, set(), {Button.RECORD, Button.KEEP}, {Button.KEEP}]
    pressed = [edges.pressed(frozenset(item)) for item in held]
    assert pressed == [set(), set(), set(), {Button.RECORD, Button.KEEP}, set()]


def test_the_gripper_toggles_on_a_press_while_the_dead_man_is_held() -> None:
    teleop = JoyTeleop(MAP)
    both, only = MAP.buttons_of({Button.DEAD_MAN, Button.GRIPPER}), MAP.buttons_of({Button.GRIPPER})
    none = MAP.buttons_of({Button.DEAD_MAN})
    levels = [
        teleop.command(1, [], buttons, level)[0].gripper
        for buttons, level in [
            (none, 0.0),
            (both, 0.0),
            (both, 1.0),
            (none, 1.0),
            (both, 1.0),
            (none, 0.0),
            (only, 0.0),
        ]
    ]
    np.testing.assert_equal(levels, [math.nan, 1.0, math.nan, math.nan, 0.0, math.nan, math.nan])


def test_an_unknown_gripper_closes_first() -> None:
    teleop = JoyTeleop(MAP)
    teleop.command(1, [], MAP.buttons_of({Button.DEAD_MAN}), math.nan)
    command, _ = teleop.command(2, [], MAP.buttons_of({Button.DEAD_MAN, Button.GRIPPER}), math.nan)
    assert command.gripper == 1.0


def test_stop_needs_no_dead_man() -> None:
    teleop = JoyTeleop(MAP)
    assert teleop.command(1, [], [], 0.0)[1] is False
    assert teleop.command(2, [], MAP.buttons_of({Button.STOP}), 0.0)[1] is True
    assert teleop.command(3, [], MAP.buttons_of({Button.STOP}), 0.0)[1] is False


@pytest.mark.parametrize(
    ("twist", "bounded"),
    [
        ([0.05, 0, -0.08, 0, 0, 0.8], [0.05, 0, -0.08, 0, 0, 0.8]),
        ([0.16, 0.08, 0, 0, 0, 0], [0.08, 0.04, 0, 0, 0, 0]),  # the direction stays
        ([0, 0, 0, 0, -1.6, 0.8], [0, 0, 0, 0, -0.8, 0.4]),
    ],
)
def test_a_twist_is_bounded_as_the_joystick_is(twist: list[float], bounded: list[float]) -> None:
    np.testing.assert_allclose(command_of_twist(1, twist, MAP).twist, bounded)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_broken_twist_is_passed_on_to_be_refused(bad: float) -> None:
    assert not np.all(np.isfinite(command_of_twist(1, [bad, 9.0, 0, 0, 0, 0], MAP).twist))


@pytest.mark.parametrize(
    ("twist", "held"), [([0] * 6, False), ([0, 0, 0.1, 0, 0, 0], True), ([math.nan] * 6, True)]
)
def test_a_twist_is_its_own_dead_man(twist: list[float], held: bool) -> None:
    assert command_of_twist(1, twist).dead_man is held
