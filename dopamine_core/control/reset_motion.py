"""The way home: a reset request in; joint or pose steps, and whether it is done or has failed and why, out."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.control.kinematics import Kinematics
from dopamine_core.control.limits import Limits
from dopamine_core.control.reference import Moved, Reference
from dopamine_core.errors import LimitsError
from dopamine_core.types import LimitReason, ResetState

Vector = NDArray[np.float64]
_PATH_SAMPLES = 40
_PEAK = 1.875  # peak speed of the minimum-jerk profile over its mean speed


@dataclass(frozen=True)
class ResetConfig:
    """How the arm goes home."""

    retract_speed_m_s: float = setting(
        0.1, doc="Speed of the retraction.", unit="m/s", low=0.001, high=1.0
    )
    joint_speed_rad_s: float = setting(
        0.8, doc="Peak joint speed.", unit="rad/s", low=0.01, high=4.0
    )
    tolerance_rad: float = setting(
        0.03,
        doc="Measured joints this near the target have arrived.",
        unit="rad",
        low=1e-4,
        high=0.5,
    )
    patience_s: float = setting(
        2.0, doc="How long it may stand still before it fails.", unit="s", low=0.1
    )
    path_margin_m: float = setting(
        0.03,
        doc="How far the joint-space way may leave the workspace, except downwards.",
        unit="m",
        low=0.0,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ResetTarget:
    """A request to go home."""

    stamp_ns: int
    positions: Vector  # (J,) rad, in the kinematics' joint order
    retract_m: float = 0.0  # first straight up
    gripper: float = math.nan  # 0 open ... 1 closed; NaN leaves it as it is

    @classmethod
    def of_names(
        cls,
        stamp_ns: int,
        names: Sequence[str],
        positions: Sequence[float],
        *,
        joint_names: Sequence[str],
        retract_m: float = 0.0,
        gripper: float = math.nan,
    ) -> ResetTarget:
        """Order positions by name.

        :raises LimitsError: when a joint is missing, unknown or not finite, or the retraction is negative.
        """
        by_name = dict(zip(names, positions, strict=False))
        if len(names) != len(positions) or set(by_name) != set(joint_names):
            raise _refused(
                f"positions of {', '.join(joint_names)}",
                f"{list(names)} with {len(positions)} values",
            )
        ordered = np.array([by_name[name] for name in joint_names], dtype=np.float64)  # (J,)
        if not (np.all(np.isfinite(ordered)) and math.isfinite(retract_m) and retract_m >= 0.0):
            raise _refused(
                "finite positions and retract_m >= 0", f"{ordered.tolist()} and {retract_m}"
            )
        return cls(stamp_ns=stamp_ns, positions=ordered, retract_m=retract_m, gripper=gripper)


class _Phase(enum.Enum):
    RETRACT = "retract"
    PLAN = "plan"
    TRAVEL = "travel"
    SETTLE = "settle"


class ResetMotion:
    """One reset: straight up, then home in joint space with a minimum-jerk profile, then wait until the arm is there.

    It stands still while the commanded pose is further ahead of the measured one than the limits allow, and fails
    when that lasts: an arm that is held back is not pushed.

    :raises LimitsError: when the target lies outside the joint limits or the workspace.
    """

    def __init__(
        self, target: ResetTarget, kinematics: Kinematics, limits: Limits, config: ResetConfig
    ) -> None:
        _check_target(target, kinematics, limits)
        self.target = target
        self._kinematics = kinematics
        self._limits = limits
        self._config = config
        self._phase = _Phase.RETRACT if target.retract_m > 0.0 else _Phase.PLAN
        self._to_rise_m = target.retract_m
        self._still_s = 0.0
        self._start = target.positions
        self._duration_s = 0.0
        self._elapsed_s = 0.0
        self.state = ResetState.ACTIVE
        self.text = ""

    def tick(
        self, reference: Reference, q_measured: Vector, elapsed_s: float, period_s: float
    ) -> Moved:
        """Move the reference by one tick."""
        if self._phase is _Phase.RETRACT:
            return self._retract(reference, q_measured, elapsed_s, period_s)
        if self._phase is _Phase.PLAN and not self._plan(reference):
            return Moved(executed=np.zeros(6), reasons=LimitReason.WORKSPACE)
        if self._phase is _Phase.TRAVEL:
            return self._travel(reference, q_measured, elapsed_s, period_s)
        return self._settle(reference, q_measured, elapsed_s, period_s)

    def fail(self, text: str) -> None:
        """End the motion as failed."""
        self.state, self.text = ResetState.FAILED, text

    def _retract(
        self, reference: Reference, q_measured: Vector, elapsed_s: float, period_s: float
    ) -> Moved:
        rise = min(self._config.retract_speed_m_s * elapsed_s, self._to_rise_m)
        up = np.array([0.0, 0.0, rise, 0.0, 0.0, 0.0])  # (6,)
        share = elapsed_s * self._config.retract_speed_m_s / self._limits.max_step_m
        moved = reference.move(up, share, q_measured, period_s)
        self._to_rise_m -= float(max(moved.executed[2], 0.0))
        at_border = LimitReason.WORKSPACE | LimitReason.UNREACHABLE | LimitReason.JOINT_POSITION
        if self._to_rise_m <= 1e-4 or moved.reasons & at_border:
            self._phase = _Phase.PLAN
        self._watch(float(moved.executed[2]) > 0.1 * rise, elapsed_s, "the retraction is blocked")
        return moved

    def _plan(self, reference: Reference) -> bool:
        self._start = reference.q
        way = self.target.positions - self._start  # (J,)
        speeds = np.minimum(self._config.joint_speed_rad_s, self._limits.max_joint_velocity_rad_s)
        self._duration_s = float(np.max(_PEAK * np.abs(way) / speeds))
        self._phase = _Phase.TRAVEL
        for part in np.linspace(0.0, 1.0, _PATH_SAMPLES):
            position = self._kinematics.forward(self._start + part * way).position
            if not self._allowed(position, reference.pose.position):
                self.fail(
                    f"the way home leaves the workspace at {np.round(position, 3).tolist()} m: retract further"
                )
                return False
        return True

    def _allowed(self, position: Vector, start: Vector) -> bool:
        margin = self._config.path_margin_m
        low = np.minimum(self._limits.workspace_low_m, start) - [margin, margin, 1e-3]
        high = np.maximum(self._limits.workspace_high_m, start) + margin
        return bool(np.all(position >= low) and np.all(position <= high))

    def _travel(
        self, reference: Reference, q_measured: Vector, elapsed_s: float, period_s: float
    ) -> Moved:
        lead_m, lead_rad = reference.lead(q_measured)
        free = lead_m <= self._limits.max_lead_m and lead_rad <= self._limits.max_lead_rad
        self._watch(
            free,
            elapsed_s,
            f"the arm does not follow: {lead_m * 1e3:.0f} mm, {lead_rad:.2f} rad behind",
        )
        if free:
            self._elapsed_s += elapsed_s
        if self._elapsed_s >= self._duration_s:
            self._phase, self._still_s = _Phase.SETTLE, 0.0
        moved = reference.approach(
            self._start + self._part() * (self.target.positions - self._start), period_s
        )
        reasons = moved.reasons if free else moved.reasons | LimitReason.STEP
        return Moved(executed=moved.executed, reasons=reasons)

    def _settle(
        self, reference: Reference, q_measured: Vector, elapsed_s: float, period_s: float
    ) -> Moved:
        moved = reference.approach(self.target.positions, period_s)
        error = float(np.max(np.abs(q_measured - self.target.positions)))
        self._watch(False, elapsed_s, f"the arm stays {error:.3f} rad from home")
        if error <= self._config.tolerance_rad:
            self.state, self.text = ResetState.DONE, ""
        return moved

    def _part(self) -> float:
        t = 1.0 if self._duration_s <= 0.0 else min(1.0, self._elapsed_s / self._duration_s)
        return t**3 * (10.0 - 15.0 * t + 6.0 * t**2)  # minimum jerk (Flash and Hogan 1985)

    def _watch(self, progress: bool, elapsed_s: float, text: str) -> None:
        self._still_s = 0.0 if progress else self._still_s + elapsed_s
        if self._still_s > self._config.patience_s:
            self.fail(text)


def _check_target(target: ResetTarget, kinematics: Kinematics, limits: Limits) -> None:
    q = target.positions
    if q.shape != limits.joint_lower_rad.shape or not np.all(np.isfinite(q)):
        raise _refused(f"{len(limits.joint_lower_rad)} finite joint positions", repr(q.tolist()))
    if np.any(q < limits.joint_lower_rad) or np.any(q > limits.joint_upper_rad):
        raise _refused("joint positions inside the joint limits", repr(np.round(q, 3).tolist()))
    position = kinematics.forward(q).position
    if not limits.inside_workspace(position):
        raise _refused("a home pose inside the workspace", f"{np.round(position, 3).tolist()} m")


def _refused(expected: str, got: str) -> LimitsError:
    return LimitsError(expected=expected, got=got, remedy="correct the reset request")
