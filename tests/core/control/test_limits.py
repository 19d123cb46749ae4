"""Limits: what is refused at construction, and the laws of the filters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopamine_core.control.from_files import limits_of
from dopamine_core.control.kinematics import TOOL_DOWN, Kinematics, Pose
from dopamine_core.control.limits import (
    WORDS,
    Limits,
    LimitsConfig,
    in_words,
    limit_displacement,
    limit_joint_position,
    limit_joint_velocity,
    limit_step,
    limit_workspace,
)
from dopamine_core.errors import LimitsError
from dopamine_core.types import LimitReason
from tests.core.control.lagging_arm import make_limits

KINEMATICS = Kinematics()
LIMITS = make_limits(KINEMATICS)
number = st.floats(-0.2, 0.2, allow_nan=False)
displacements = st.lists(number, min_size=6, max_size=6).map(np.array)
positions = st.tuples(st.floats(0.2, 0.7), st.floats(-0.3, 0.3), st.floats(0.0, 0.5)).map(np.array)
turns = st.lists(st.floats(-0.3, 0.3), min_size=3, max_size=3)
joints = st.lists(st.floats(-4.0, 4.0), min_size=6, max_size=6).map(np.array)


@pytest.mark.parametrize(
    "changes",
    [
        {"workspace_low_m": np.array([0.7, -0.2, 0.05])},  # above the upper corner
        {"workspace_low_m": np.array([np.nan, -0.2, 0.05])},
        {"workspace_high_m": np.array([0.6, 0.2])},
        {"workspace_high_m": None},
        {"joint_lower_rad": np.full(6, 3.0)},
        {"joint_upper_rad": np.array([np.inf] * 6)},
        {"joint_names": ()},
        {"max_joint_velocity_rad_s": np.zeros(6)},
        {"max_step_m": 0.0},
        {"max_step_m": math.nan},
        {"max_step_rad": -0.1},
        {"max_lead_m": math.inf},
        {"max_lead_rad": "wide"},
    ],
)
def test_bad_limits_are_refused_by_name(changes: dict[str, object]) -> None:
    with pytest.raises(LimitsError) as caught:
        make_limits(KINEMATICS, **changes)
    name = next(iter(changes))
    assert name.split("_")[0] in str(caught.value)


def block(**changes: object) -> LimitsConfig:
    values: dict[str, object] = {
        "joint_names": tuple(reversed(KINEMATICS.joint_names)),
        "joint_lower_rad": (-9.0,) * 6,
        "joint_upper_rad": (0.1, 9.0, 9.0, 9.0, 9.0, 9.0),
        "max_joint_velocity_rad_s": (1.0, 9.0, 9.0, 9.0, 9.0, 9.0),
        "workspace_low_m": (0.3, -0.2, 0.05),
        "workspace_high_m": (0.6, 0.2, 0.4),
        "max_step_m": 0.02,
        "max_step_rad": 0.15,
        "max_lead_m": 0.015,
        "max_lead_rad": 0.2,
    }
    return LimitsConfig(**{**values, **changes})  # type: ignore[arg-type]


def intersect(config: LimitsConfig) -> Limits:
    return Limits.intersect(
        config,
        joint_names=KINEMATICS.joint_names,
        urdf_lower_rad=KINEMATICS.lower_rad,
        urdf_upper_rad=KINEMATICS.upper_rad,
        urdf_velocity_rad_s=KINEMATICS.max_velocity_rad_s,
    )


def test_the_narrower_of_block_and_urdf_holds_in_the_urdfs_joint_order() -> None:
    limits = intersect(block())
    np.testing.assert_allclose(limits.joint_lower_rad, KINEMATICS.lower_rad)
    np.testing.assert_allclose(limits.joint_upper_rad, [*KINEMATICS.upper_rad[:5], 0.1])
    np.testing.assert_allclose(
        limits.max_joint_velocity_rad_s, [*KINEMATICS.max_velocity_rad_s[:5], 1.0]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"joint_names": ("a", "b")},
        {"joint_upper_rad": (-8.0,) * 6},  # nothing in common with the URDF
        {"joint_lower_rad": (-1.0,) * 5},
        {"max_joint_velocity_rad_s": (math.nan,) * 6},
    ],
)
def test_a_block_that_does_not_fit_the_urdf_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(LimitsError):
        intersect(block(**changes))


def test_a_file_without_limits_is_refused_and_names_what_is_missing(tmp_path) -> None:
    path = tmp_path / "limits.yaml"
    path.write_text("/**:\n  ros__parameters:\n    limits:\n      max_step_m: 0.02\n")
    with pytest.raises(LimitsError, match="workspace_low_m"):
        limits_of(path, KINEMATICS)


def test_every_reason_has_words() -> None:
    assert set(WORDS) == set(LimitReason) - {LimitReason.NONE}
    assert in_words(LimitReason.NONE) == ""
    assert in_words(LimitReason.STEP | LimitReason.STOPPED).count(";") == 1


@given(displacements)
def test_step_filter(displacement: np.ndarray) -> None:
    limited, reason = limit_step(displacement, 0.02, 0.15)
    again, reason_again = limit_step(limited, 0.02, 0.15)
    assert np.array_equal(again, limited) and reason_again is LimitReason.NONE
    assert np.linalg.norm(limited[:3]) <= 0.02 * (1 + 1e-6)
    assert np.linalg.norm(limited[3:]) <= 0.15 * (1 + 1e-6)
    assert (reason is LimitReason.NONE) == np.array_equal(limited, displacement)
    cosine = limited[:3] @ displacement[:3]
    assert (
        cosine >= 0.999999 * np.linalg.norm(limited[:3]) * np.linalg.norm(displacement[:3]) - 1e-15
    )


@given(positions, displacements)
def test_workspace_filter(position: np.ndarray, displacement: np.ndarray) -> None:
    limited, reason = limit_workspace(position, displacement, LIMITS)
    again, reason_again = limit_workspace(position, limited, LIMITS)
    assert np.array_equal(again, limited) and reason_again is LimitReason.NONE
    assert (reason is LimitReason.NONE) == np.array_equal(limited, displacement)
    target = position + limited[:3]
    assert np.all(target >= np.minimum(position, LIMITS.workspace_low_m) - 1e-12)
    assert np.all(target <= np.maximum(position, LIMITS.workspace_high_m) + 1e-12)
    assert np.all(np.abs(limited) <= np.abs(displacement))  # never a jump back to the border


@settings(max_examples=300)
@given(positions, positions, turns, displacements, st.sampled_from([0.2, 0.3, 1.0]))
def test_all_pose_filters_together(
    reference: np.ndarray,
    offset: np.ndarray,
    turn: list[float],
    displacement: np.ndarray,
    share: float,
) -> None:
    pose = Pose(reference, TOOL_DOWN)
    measured = pose.moved(np.array([*(0.1 * (offset - [0.45, 0.0, 0.25])), *turn]))
    limited, reason = limit_displacement(pose, measured, displacement, LIMITS, share)
    again, _ = limit_displacement(pose, measured, limited, LIMITS, share)
    np.testing.assert_allclose(
        again, limited, rtol=0.0, atol=1e-12
    )  # filter(filter(a)) == filter(a)
    assert np.linalg.norm(limited[:3]) <= 0.02 * share * (1 + 1e-6)
    if reason is LimitReason.NONE:
        assert np.array_equal(limited, displacement)


def test_the_lead_over_the_measured_pose_is_bounded_and_sliding_goes_on() -> None:
    measured = Pose(np.array([0.45, 0.0, 0.2]), TOOL_DOWN)
    pushing = Pose(np.array([0.45, 0.0, 0.185]), TOOL_DOWN)  # 15 mm into the table
    down, reason = limit_displacement(
        pushing, measured, np.array([0, 0, -0.004, 0, 0, 0.0]), LIMITS, 1.0
    )
    np.testing.assert_allclose(down, 0.0, atol=1e-9)
    assert reason is LimitReason.STEP
    slide, _ = limit_displacement(
        pushing, measured, np.array([0.004, 0, 0, 0, 0, 0.0]), LIMITS, 1.0
    )
    assert slide[0] > 0.003
    up, reason = limit_displacement(
        pushing, measured, np.array([0, 0, 0.004, 0, 0, 0.0]), LIMITS, 1.0
    )
    np.testing.assert_allclose(up, [0, 0, 0.004, 0, 0, 0])
    assert reason is LimitReason.NONE


@given(joints, joints)
def test_joint_filters(q: np.ndarray, wanted: np.ndarray) -> None:
    inside, reason = limit_joint_position(q, wanted, LIMITS)
    again, reason_again = limit_joint_position(q, inside, LIMITS)
    assert np.array_equal(again, inside) and reason_again is LimitReason.NONE
    assert np.all(inside <= np.maximum(q, LIMITS.joint_upper_rad))
    assert np.all(inside >= np.minimum(q, LIMITS.joint_lower_rad))
    slow, reason = limit_joint_velocity(q, wanted, LIMITS, 0.02)
    again, reason_again = limit_joint_velocity(q, slow, LIMITS, 0.02)
    assert np.array_equal(again, slow) and reason_again is LimitReason.NONE
    assert np.all(np.abs(slow - q) <= LIMITS.max_joint_velocity_rad_s * 0.02 * (1 + 1e-6))
    assert (reason is LimitReason.NONE) == np.array_equal(slow, wanted)
