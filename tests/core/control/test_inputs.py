"""What is wrong with an input, in words."""

from __future__ import annotations

import numpy as np
import pytest

from dopamine_core.control.inputs import gripper_fraction, joint_problem, stamp_problem
from dopamine_core.types import JointSample

MS = 1_000_000


@pytest.mark.parametrize(
    ("stamp", "word"),
    [
        (0, "zero"),
        (-5, "zero"),
        (1100 * MS, "future"),
        (700 * MS, "old"),
        (1040 * MS, ""),
        (810 * MS, ""),
    ],
)
def test_stamps(stamp: int, word: str) -> None:
    text = stamp_problem(stamp, 1000 * MS, max_age_ns=200 * MS, future_ns=50 * MS)
    assert (word in text) if word else text == ""


def sample(names: tuple[str, ...], *positions: float) -> JointSample:
    return JointSample(1, names, np.array(positions))


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (sample(("b", "a"), 1.0, 2.0), ""),
        (sample(("a", "b", "c"), 1.0, 2.0, np.nan), ""),  # another's joint
        (sample(("a",), 1.0), "got a"),
        (sample((), 1.0, 2.0), "0 names"),
        (sample(("a", "b"), 1.0), "1 positions"),
        (sample(("a", "b"), 1.0, np.nan), "in b"),
    ],
)
def test_joint_states(given: JointSample, word: str) -> None:
    text = joint_problem(given, ("a", "b"))
    assert (word in text) if word else text == ""


@pytest.mark.parametrize(
    ("position", "fraction"),
    [(0.04, 0.0), (0.0, 1.0), (0.01, 0.75), (0.05, 0.0), (-0.01, 1.0), (np.nan, None)],
)
def test_gripper_fraction(position: float, fraction: float | None) -> None:
    assert gripper_fraction(sample(("finger",), position), "finger", 0.04, 0.0) == (
        None if fraction is None else pytest.approx(fraction)
    )


def test_a_gripper_that_is_not_there_has_no_fraction() -> None:
    assert gripper_fraction(sample(("a",), 0.0), "finger", 0.04, 0.0) is None
    assert gripper_fraction(sample(("finger",)), "finger", 0.04, 0.0) is None
