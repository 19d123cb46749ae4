"""Limits of one robot: a YAML block and the URDF in; pure filters, each saying whether and why it limited, out.

Every filter is idempotent, ``filter(filter(a)) == filter(a)`` bit for bit, and lets a robot that stands outside a
limit move inwards, never further out: there is no jump back to the border.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dopamine_core.config import check, setting
from dopamine_core.control.kinematics import Pose
from dopamine_core.errors import LimitsError
from dopamine_core.types import LimitReason

Vector = NDArray[np.float64]
_SLACK = 1e-9  # relative: a scaled vector's norm may exceed its bound by rounding; it is not limited again

WORDS = {
    LimitReason.WORKSPACE: "the workspace ends here",
    LimitReason.JOINT_POSITION: "a joint is at its limit",
    LimitReason.JOINT_VELOCITY: "a joint would be too fast",
    LimitReason.STEP: "the step, or its lead over the measured pose, is too large",
    LimitReason.NON_FINITE: "a value is not finite",
    LimitReason.UNREACHABLE: "the pose cannot be reached",
    LimitReason.STALE_POLICY: "no fresh policy action",
    LimitReason.STALE_JOINT_STATES: "no fresh joint states: nothing is sent",
    LimitReason.STALE_IMAGES: "no fresh camera images",
    LimitReason.STOPPED: "stopped: call command/clear_stop",
    LimitReason.TAKEN_OVER: "a person drives",
}


def in_words(reasons: LimitReason) -> str:
    """Reasons as a sentence; empty when there are none."""
    return "; ".join(text for reason, text in WORDS.items() if reason in reasons)


@dataclass(frozen=True)
class LimitsConfig:
    """The robot's limits block in YAML. Nothing here has a default: a robot without it must not move."""

    joint_names: tuple[str, ...] = setting(doc="Arm joints, in the order of the arrays below.")
    joint_lower_rad: tuple[float, ...] = setting(
        doc="Lower position limits, cut with the URDF's.", unit="rad"
    )
    joint_upper_rad: tuple[float, ...] = setting(
        doc="Upper position limits, cut with the URDF's.", unit="rad"
    )
    max_joint_velocity_rad_s: tuple[float, ...] = setting(
        doc="Joint speeds, cut with the URDF's.", unit="rad/s"
    )
    workspace_low_m: tuple[float, ...] = setting(
        doc="Lower corner of the end effector's box in base_link.", unit="m"
    )
    workspace_high_m: tuple[float, ...] = setting(doc="Upper corner of that box.", unit="m")
    max_step_m: float = setting(doc="Longest translation in one decision period.", unit="m")
    max_step_rad: float = setting(doc="Largest turn in one decision period.", unit="rad")
    max_lead_m: float = setting(
        doc="How far the commanded pose may run ahead of the measured one; bounds the force in contact.",
        unit="m",
    )
    max_lead_rad: float = setting(doc="The same for the turn.", unit="rad")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Limits:
    """Checked limits, arrays in the kinematics' joint order.

    :raises LimitsError: when a value is missing, not finite, of the wrong size or contradicts another.
    """

    joint_names: tuple[str, ...]
    joint_lower_rad: Vector  # (J,)
    joint_upper_rad: Vector  # (J,)
    max_joint_velocity_rad_s: Vector  # (J,)
    workspace_low_m: Vector  # (3,)
    workspace_high_m: Vector  # (3,)
    max_step_m: float
    max_step_rad: float
    max_lead_m: float
    max_lead_rad: float

    def __post_init__(self) -> None:
        if not self.joint_names:
            raise _bad("joint_names to name the arm's joints", "none")
        joints = (len(self.joint_names),)
        sizes = {"workspace_low_m": (3,), "workspace_high_m": (3,), "joint_names": None}
        for field in fields(self):
            shape = sizes.get(
                field.name, joints if field.name.startswith(("joint", "max_joint")) else ()
            )
            if shape is not None:
                object.__setattr__(
                    self, field.name, _finite(field.name, getattr(self, field.name), shape)
                )
        _ordered("workspace", self.workspace_low_m, self.workspace_high_m)
        _ordered("joint range", self.joint_lower_rad, self.joint_upper_rad)
        for name in (
            "max_joint_velocity_rad_s",
            "max_step_m",
            "max_step_rad",
            "max_lead_m",
            "max_lead_rad",
        ):
            if not np.all(np.asarray(getattr(self, name)) > 0.0):
                raise _bad(f"{name} > 0", repr(getattr(self, name)))

    @classmethod
    def intersect(
        cls,
        config: LimitsConfig,
        *,
        joint_names: tuple[str, ...],
        urdf_lower_rad: ArrayLike,
        urdf_upper_rad: ArrayLike,
        urdf_velocity_rad_s: ArrayLike,
    ) -> Limits:
        """Cut the robot's YAML block with its URDF.

        :param config: the YAML block, in its own joint order.
        :param joint_names: the kinematics' joint order, which the arrays of the result follow.
        :param urdf_lower_rad: (J,) in that order; so are ``urdf_upper_rad`` and ``urdf_velocity_rad_s``.
        :raises LimitsError: also when the block and the URDF name different joints or have no range in common.
        """
        if set(config.joint_names) != set(joint_names):
            raise _bad(
                f"limits of {', '.join(joint_names)}",
                ", ".join(config.joint_names) or "no joint_names",
            )
        order = [config.joint_names.index(name) for name in joint_names]
        joints = (len(order),)
        lower, upper, speed = (
            _finite(name, getattr(config, name), joints)[order]
            for name in ("joint_lower_rad", "joint_upper_rad", "max_joint_velocity_rad_s")
        )
        return cls(
            joint_names=tuple(joint_names),
            joint_lower_rad=np.maximum(lower, urdf_lower_rad),
            joint_upper_rad=np.minimum(upper, urdf_upper_rad),
            max_joint_velocity_rad_s=np.minimum(speed, urdf_velocity_rad_s),
            workspace_low_m=np.asarray(config.workspace_low_m),
            workspace_high_m=np.asarray(config.workspace_high_m),
            max_step_m=config.max_step_m,
            max_step_rad=config.max_step_rad,
            max_lead_m=config.max_lead_m,
            max_lead_rad=config.max_lead_rad,
        )

    def inside_workspace(self, position: Vector, margin_m: float = 0.0) -> bool:
        """Whether a position (3,) m lies in the box, widened by a margin."""
        return bool(
            np.all(position >= self.workspace_low_m - margin_m)
            and np.all(position <= self.workspace_high_m + margin_m)
        )


def limit_displacement(
    reference: Pose, measured: Pose, displacement: Vector, limits: Limits, share: float
) -> tuple[Vector, LimitReason]:
    """Apply every limit on the pose: step, lead over the measured pose, workspace.

    :param displacement: (6,) m and rad of the reference pose along base_link; must be finite.
    :param share: of a decision period in which it happens; the step limits hold for a whole period.
    """
    # Measured from inside the box, the lead's ball and the box are convex sets with a common point: cutting with one
    # after the other is then idempotent.
    low = np.minimum(limits.workspace_low_m, reference.position)
    high = np.maximum(limits.workspace_high_m, reference.position)
    anchor = Pose(np.clip(measured.position, low, high), measured.rotation)
    limited, step = limit_step(displacement, limits.max_step_m * share, limits.max_step_rad * share)
    limited, lead = limit_lead(reference, anchor, limited, limits)
    limited, workspace = limit_workspace(reference.position, limited, limits)
    return limited, step | lead | workspace


def limit_step(displacement: Vector, max_m: float, max_rad: float) -> tuple[Vector, LimitReason]:
    """Shorten a displacement (6,) so that its translation and its turn stay within bounds; directions stay."""
    linear, cut_linear = _shorten(displacement[:3], max_m)
    angular, cut_angular = _shorten(displacement[3:], max_rad)
    reason = LimitReason.STEP if cut_linear or cut_angular else LimitReason.NONE
    return np.concatenate([linear, angular]), reason


def limit_workspace(
    position: Vector, displacement: Vector, limits: Limits
) -> tuple[Vector, LimitReason]:
    """Cut a displacement (6,) from ``position`` (3,) so that it does not leave the box, or not further."""
    low = np.minimum(limits.workspace_low_m - position, 0.0)  # (3,) room, 0 when already outside
    high = np.maximum(limits.workspace_high_m - position, 0.0)
    linear = np.clip(displacement[:3], low, high)
    reason = LimitReason.NONE if np.array_equal(linear, displacement[:3]) else LimitReason.WORKSPACE
    return np.concatenate([linear, displacement[3:]]), reason


def limit_lead(
    reference: Pose, measured: Pose, displacement: Vector, limits: Limits
) -> tuple[Vector, LimitReason]:
    """Cut a displacement (6,) of the reference so that it does not run further ahead of the measured pose than allowed.

    The target is projected onto the ball around the measured pose, so that a pose that pushes against something can
    still slide along it. A reference that is already further ahead may come back or keep its distance.
    """
    lead_before = measured.error_to(reference)  # (6,)
    lead = measured.error_to(reference.moved(displacement))  # (6,)
    linear, cut_linear = _shorten(
        lead[:3], max(limits.max_lead_m, float(np.linalg.norm(lead_before[:3])))
    )
    angular, cut_angular = _shorten(
        lead[3:], max(limits.max_lead_rad, float(np.linalg.norm(lead_before[3:])))
    )
    if not (cut_linear or cut_angular):
        return displacement, LimitReason.NONE
    cut = reference.error_to(measured.moved(np.concatenate([linear, angular])))  # (6,)
    # The half that was not cut keeps its exact value, so that rounding does not creep in.
    kept = np.concatenate(
        [cut[:3] if cut_linear else displacement[:3], cut[3:] if cut_angular else displacement[3:]]
    )
    return kept, LimitReason.STEP


def limit_joint_position(q: Vector, q_next: Vector, limits: Limits) -> tuple[Vector, LimitReason]:
    """Cut joint targets (J,) so that no joint leaves its range, or not further than ``q`` already has."""
    inside = np.clip(
        q_next, np.minimum(limits.joint_lower_rad, q), np.maximum(limits.joint_upper_rad, q)
    )
    reason = LimitReason.NONE if np.array_equal(inside, q_next) else LimitReason.JOINT_POSITION
    return inside, reason


def limit_joint_velocity(
    q: Vector, q_next: Vector, limits: Limits, period_s: float
) -> tuple[Vector, LimitReason]:
    """Shorten a joint step as a whole so that no joint is faster than allowed over ``period_s``."""
    step = q_next - q  # (J,)
    ratio = float(np.max(np.abs(step) / (limits.max_joint_velocity_rad_s * period_s)))
    if ratio <= 1.0 + _SLACK:
        return q_next, LimitReason.NONE
    return q + step / ratio, LimitReason.JOINT_VELOCITY


def _shorten(vector: Vector, longest: float) -> tuple[Vector, bool]:
    norm = float(np.linalg.norm(vector))
    if norm <= longest * (1.0 + _SLACK):
        return vector, False
    return vector * (longest / norm), True


def _finite(name: str, value: ArrayLike | float, shape: tuple[int, ...]) -> Vector | float:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise _bad(f"{name} as numbers", repr(value)) from error
    if array.shape != shape or not np.all(np.isfinite(array)):
        size = f"{shape[0]} finite numbers" if shape else "one finite number"
        raise _bad(f"{name} as {size}", repr(np.asarray(value).tolist()))
    if not shape:
        return float(array)
    array.setflags(write=False)
    return array


def _ordered(what: str, low: Vector, high: Vector) -> None:
    if not np.all(low < high):
        raise _bad(
            f"each lower bound of the {what} below its upper one",
            f"{low.tolist()} and {high.tolist()}",
        )


def _bad(expected: str, got: str) -> LimitsError:
    return LimitsError(
        expected=expected,
        got=got,
        remedy="correct the limits block of this robot (config/limits.yaml)",
    )
