"""What comes in to the command path, checked: joint samples, policy actions and stamps; problems named in words out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dopamine_core.types import JointSample, LimitReason, PolicyAction

NS = 1_000_000_000
_USABLE = (LimitReason.NONE, "")


def stamp_problem(stamp_ns: int, now_ns: int, *, max_age_ns: int, future_ns: int) -> str:
    """Say why a stamp cannot be used; empty when it can."""
    if stamp_ns <= 0:
        return "expected a stamp, got zero; fill header.stamp from the node clock"
    if stamp_ns - now_ns > future_ns:
        ahead_s = (stamp_ns - now_ns) / NS
        return f"expected a stamp not in the future, got {ahead_s:.3f} s ahead; check use_sim_time and clocks"
    if now_ns - stamp_ns > max_age_ns:
        age_s = (now_ns - stamp_ns) / NS
        return f"expected a stamp at most {max_age_ns / NS:.3f} s old, got {age_s:.3f} s; is its sender late?"
    return ""


def joint_problem(sample: JointSample, joint_names: tuple[str, ...]) -> str:
    """Say why joint states cannot be used; empty when they can."""
    if len(sample.names) != len(sample.position):
        return f"expected one name per position, got {len(sample.names)} names and {len(sample.position)} positions"
    missing = [name for name in joint_names if name not in sample.names]
    if missing:
        have = ", ".join(sample.names) or "no names"
        return (
            f"expected joints {', '.join(joint_names)}, got {have}; check joint_state_broadcaster"
        )
    values = positions_of(sample, joint_names)
    broken = [
        name for name, value in zip(joint_names, values, strict=True) if not np.isfinite(value)
    ]
    if broken:
        return f"expected finite positions, got NaN or infinity in {', '.join(broken)}; check the encoders"
    return ""


def positions_of(sample: JointSample, joint_names: tuple[str, ...]) -> NDArray[np.float64]:
    """Positions (J,) by name; the order in a message is not guaranteed."""
    by_name = dict(zip(sample.names, sample.position, strict=False))
    return np.array([by_name[name] for name in joint_names], dtype=np.float64)


def gripper_fraction(
    sample: JointSample, joint: str, open_position: float, closed_position: float
) -> float | None:
    """Measured gripper position as a fraction, 0 open ... 1 closed; None when the sample does not have it."""
    if joint not in sample.names or len(sample.names) != len(sample.position):
        return None
    position = float(sample.position[sample.names.index(joint)])
    fraction = (position - open_position) / (closed_position - open_position)
    return float(np.clip(fraction, 0.0, 1.0)) if np.isfinite(fraction) else None


def action_problem(
    action: PolicyAction, now_ns: int, *, max_age_ns: int, future_ns: int, max_period_ns: int
) -> tuple[LimitReason, str]:
    """Say why a policy action cannot be executed; (NONE, "") when it can."""
    displacement = np.asarray(action.displacement)
    if displacement.shape != (6,) or not np.all(np.isfinite(displacement)):
        got = displacement.tolist()
        return LimitReason.NON_FINITE, f"expected 6 finite displacements, got {got}; dropped"
    if not np.isfinite(action.gripper):
        return (
            LimitReason.NON_FINITE,
            f"expected a finite gripper level, got {action.gripper}; dropped",
        )
    if not 0 < action.period_ns <= max_period_ns:
        text = (
            f"expected a period in (0, {max_period_ns / NS:g}] s, got {action.period_ns / NS:g} s"
        )
        return LimitReason.STALE_POLICY, f"{text}; dropped"
    problem = stamp_problem(
        action.decision_stamp_ns, now_ns, max_age_ns=max_age_ns, future_ns=future_ns
    )
    return (LimitReason.STALE_POLICY, f"policy action: {problem}") if problem else _USABLE
