"""Joint trajectories in, desired joint states out: the rules of ros2_controllers' joint_trajectory_controller.

Pure: time is an argument. Checked against the Jazzy controller with ``allow_partial_joints_goal``,
``allow_nonzero_velocity_at_trajectory_end`` and ``allow_integration_in_goal_trajectories`` off and
``interpolate_from_desired_state`` on. One deliberate difference: it accepts NaN, this one refuses it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import CellError

Vector = NDArray[np.float64]


class Rejection(enum.Enum):
    """Why a trajectory was ignored."""

    NONE = "accepted"
    UNKNOWN_JOINT = "unknown joint"
    INCOMPLETE_JOINTS = "joints missing or given twice"
    NO_POINTS = "no points"
    TIMES_NOT_INCREASING = "time_from_start not strictly increasing"
    WRONG_SIZE = "wrong number of values"
    NONZERO_END_VELOCITY = "velocity at the last point is not zero"
    IN_THE_PAST = "ends in the past"
    NOT_FINITE = "non-finite value"


@dataclass(frozen=True)
class Point:
    """One trajectory point; velocities and accelerations may be absent."""

    time_from_start_ns: int
    positions: Sequence[float]  # (J,) rad, in the order of the trajectory's joint names
    velocities: Sequence[float] = ()  # (J,) rad/s or empty
    accelerations: Sequence[float] = ()  # (J,) rad/s^2 or empty
    effort: Sequence[float] = ()  # must be empty: the controller commands positions


@dataclass(frozen=True)
class TrajectoryVerdict:
    """Whether a trajectory is executed, and if not, why."""

    rejection: Rejection
    text: str = ""

    @property
    def accepted(self) -> bool:
        """True when the trajectory replaced the running one."""
        return self.rejection is Rejection.NONE


@dataclass(frozen=True)
class DesiredState:
    """What the controller asks of the joints at one moment."""

    position: Vector  # (J,) rad
    velocity: Vector  # (J,) rad/s


@dataclass(frozen=True)
class _Knot:
    time_ns: int
    position: Vector
    velocity: Vector | None
    acceleration: Vector | None


class JointTrajectoryController:
    """Executes the newest accepted trajectory and holds its last point.

    :param joint_names: controlled joints; the order of all ``(J,)`` arrays that come out.
    :param position: joint positions ``(J,)`` to hold at first, rad.
    """

    def __init__(self, joint_names: Sequence[str], position: Vector) -> None:
        self.joint_names = tuple(joint_names)
        self.hold(position)

    def hold(self, position: Vector) -> None:
        """Forget the trajectory and hold a position ``(J,)``: what activation does.

        :raises CellError: when the position has the wrong size or is not finite.
        """
        held = np.array(position, dtype=np.float64)
        if held.shape != (len(self.joint_names),) or not np.isfinite(held).all():
            raise CellError(
                expected=f"{len(self.joint_names)} finite positions to hold",
                got=repr(position),
                remedy="hold the measured joint positions",
            )
        self._desired = DesiredState(held, np.zeros_like(held))
        self._knots: list[_Knot] = []
        self._waiting: tuple[_Knot, ...] = ()

    def submit(
        self, names: Sequence[str], points: Sequence[Point], stamp_ns: int, now_ns: int
    ) -> TrajectoryVerdict:
        """Take a trajectory, or ignore it and go on.

        :param names: joint names, each controlled joint exactly once, any order.
        :param points: at least one; ``time_from_start_ns`` strictly increasing.
        :param stamp_ns: start time; 0 starts at the next update.
        :param now_ns: time of arrival.
        """
        verdict = self._judge(names, points, stamp_ns, now_ns)
        if verdict.accepted:
            self._accept(names, points, stamp_ns, now_ns)
        return verdict

    def update(self, now_ns: int) -> DesiredState:
        """Desired state at ``now_ns``; call it once per control period, with time that never runs backwards."""
        if self._waiting:
            # Stamp 0: the trajectory starts when the controller first samples it.
            self._start(self._waiting, now_ns, now_ns)
        if self._knots:
            self._desired = _sample(self._knots, now_ns)
        return self._desired

    def _accept(
        self, names: Sequence[str], points: Sequence[Point], stamp_ns: int, now_ns: int
    ) -> None:
        column = [list(names).index(name) for name in self.joint_names]
        knots = tuple(_to_knot(point, column) for point in points)
        self._waiting = ()
        if stamp_ns == 0:
            self._waiting = knots
        else:
            self._start(knots, stamp_ns, now_ns)

    def _start(self, knots: tuple[_Knot, ...], start_ns: int, now_ns: int) -> None:
        self._waiting = ()
        before = _Knot(now_ns, self._desired.position, self._desired.velocity, None)
        shifted = [_Knot(k.time_ns + start_ns, k.position, k.velocity, k.acceleration) for k in knots]
        self._knots = [before, *shifted]

    def _judge(
        self, names: Sequence[str], points: Sequence[Point], stamp_ns: int, now_ns: int
    ) -> TrajectoryVerdict:
        unknown = [name for name in names if name not in self.joint_names]
        if unknown:
            return TrajectoryVerdict(Rejection.UNKNOWN_JOINT, ", ".join(unknown))
        if sorted(names) != sorted(self.joint_names):
            return TrajectoryVerdict(Rejection.INCOMPLETE_JOINTS, f"got {', '.join(names)}")
        if not points:
            return TrajectoryVerdict(Rejection.NO_POINTS, "an empty trajectory does not stop the running one")
        end_ns = stamp_ns + points[-1].time_from_start_ns
        if stamp_ns != 0 and end_ns < now_ns:
            return TrajectoryVerdict(Rejection.IN_THE_PAST, f"ended {(now_ns - end_ns) / 1e9:.3f} s ago")
        return self._judge_points(points)

    def _judge_points(self, points: Sequence[Point]) -> TrajectoryVerdict:
        times = [point.time_from_start_ns for point in points]
        if times[0] < 0 or any(b <= a for a, b in zip(times, times[1:], strict=False)):
            return TrajectoryVerdict(Rejection.TIMES_NOT_INCREASING, f"got {times} ns")
        for index, point in enumerate(points):
            verdict = self._judge_values(index, point)
            if not verdict.accepted:
                return verdict
        if any(abs(v) > np.finfo(np.float32).eps for v in points[-1].velocities):
            return TrajectoryVerdict(Rejection.NONZERO_END_VELOCITY, f"got {list(points[-1].velocities)}")
        return TrajectoryVerdict(Rejection.NONE)

    def _judge_values(self, index: int, point: Point) -> TrajectoryVerdict:
        dof = len(self.joint_names)
        sizes = len(point.positions), len(point.velocities), len(point.accelerations), len(point.effort)
        if sizes[0] != dof or sizes[1] not in (0, dof) or sizes[2] not in (0, dof) or sizes[3] != 0:
            return TrajectoryVerdict(
                Rejection.WRONG_SIZE,
                f"point {index}: {sizes} positions, velocities, accelerations, efforts for {dof} joints",
            )
        values = np.concatenate([point.positions, point.velocities, point.accelerations])
        if not np.isfinite(values.astype(np.float64)).all():
            return TrajectoryVerdict(Rejection.NOT_FINITE, f"point {index}")
        return TrajectoryVerdict(Rejection.NONE)


def _to_knot(point: Point, column: list[int]) -> _Knot:
    def picked(values: Sequence[float]) -> Vector | None:
        return np.asarray(values, dtype=np.float64)[column] if len(values) else None

    position = picked(point.positions)
    assert position is not None
    return _Knot(
        point.time_from_start_ns, position, picked(point.velocities), picked(point.accelerations)
    )


def _sample(knots: list[_Knot], now_ns: int) -> DesiredState:
    # The knot before the trajectory may lie after its first points (partly in the past): those are skipped.
    if now_ns >= knots[-1].time_ns:
        return DesiredState(knots[-1].position, np.zeros_like(knots[-1].position))
    index = max(i for i, knot in enumerate(knots[:-1]) if i == 0 or knot.time_ns <= now_ns)
    return _interpolate(knots[index], knots[index + 1], now_ns)


def _interpolate(a: _Knot, b: _Knot, now_ns: int) -> DesiredState:
    """Linear, cubic or quintic segment, by what both ends know (as the controller does)."""
    if b.time_ns <= a.time_ns:
        return DesiredState(b.position, np.zeros_like(b.position))
    duration = (b.time_ns - a.time_ns) * 1e-9
    t = min(max((now_ns - a.time_ns) * 1e-9, 0.0), duration)
    coefficients = _coefficients(a, b, duration)
    powers = np.array([t**n for n in range(len(coefficients))])
    slopes = np.array([n * t ** (n - 1) if n else 0.0 for n in range(len(coefficients))])
    return DesiredState(powers @ coefficients, slopes @ coefficients)


def _coefficients(a: _Knot, b: _Knot, duration: float) -> Vector:
    """Polynomial coefficients ``(order + 1, J)``, lowest power first."""
    distance = b.position - a.position
    if a.velocity is None or b.velocity is None:
        return np.array([a.position, distance / duration])
    if a.acceleration is None or b.acceleration is None:
        return np.array(
            [
                a.position,
                a.velocity,
                (3 * distance - (2 * a.velocity + b.velocity) * duration) / duration**2,
                (-2 * distance + (a.velocity + b.velocity) * duration) / duration**3,
            ]
        )
    return _quintic(a, b, distance, duration)


def _quintic(a: _Knot, b: _Knot, distance: Vector, duration: float) -> Vector:
    assert a.velocity is not None and b.velocity is not None
    assert a.acceleration is not None and b.acceleration is not None
    va, vb = a.velocity * duration, b.velocity * duration
    aa, ab = a.acceleration * duration**2, b.acceleration * duration**2
    return np.array(
        [
            a.position,
            va / duration,
            aa / 2 / duration**2,
            (20 * distance - (8 * vb + 12 * va) - (3 * aa - ab)) / (2 * duration**3),
            (-30 * distance + (14 * vb + 16 * va) + (3 * aa - 2 * ab)) / (2 * duration**4),
            (12 * distance - 6 * (vb + va) + (ab - aa)) / (2 * duration**5),
        ]
    )
