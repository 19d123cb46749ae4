"""The one command path: what policy, person, reset and stop ask for in; one safe trajectory per tick out.

Pure and clockless: every call carries the time. The command node, the lock-step environment and the tests use this
same class. Never imports torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dopamine_core.control.arbiter import Standing, choose
from dopamine_core.control.command_types import (
    NS,
    CommandConfig,
    CommandTick,
    Note,
    TrajectoryPoint,
    Vector,
)
from dopamine_core.control.inputs import action_problem
from dopamine_core.control.kinematics import Kinematics
from dopamine_core.control.limits import Limits, in_words
from dopamine_core.control.person import Person
from dopamine_core.control.policy_stream import PolicyStream
from dopamine_core.control.reference import Moved, Reference
from dopamine_core.control.reset_motion import ResetConfig, ResetTarget
from dopamine_core.control.resetting import Resetting
from dopamine_core.control.senses import Senses
from dopamine_core.control.teleop import HumanCommand
from dopamine_core.types import (
    CommandRecord,
    CommandSource,
    JointSample,
    LimitReason,
    PolicyAction,
)

__all__ = ["CommandConfig", "CommandCore", "CommandTick", "TrajectoryPoint"]
_MAX_TICKS = 1.5  # a late tick makes up for at most this many
_MAX_PERIODS = 5.0  # an action may be spread over at most this many decision periods
_NOTHING = np.zeros(6)


@dataclass(frozen=True)
class _Step:
    """What a source asked for in a tick and what became of it."""

    proposed: Vector  # (6,) m and rad
    moved: Moved
    decision_stamp_ns: int = 0
    gripper: float = math.nan  # asked for; NaN leaves it
    going_on: bool = False  # the motion continues in the next tick
    notes: tuple[Note, ...] = ()


_STILL = _Step(_NOTHING, Moved(executed=_NOTHING, reasons=LimitReason.NONE))


class CommandCore:
    """Arbiter, limits and reference pose of one arm.

    :param kinematics: of the arm.
    :param limits: required; see ``Limits``.
    :param config: timing.
    :param reset: speeds and tolerances of the way home.
    """

    def __init__(
        self,
        *,
        kinematics: Kinematics,
        limits: Limits,
        config: CommandConfig,
        reset: ResetConfig | None = None,
    ) -> None:
        self._kinematics, self._limits, self._config = kinematics, limits, config
        self._tick_ns = round(config.tick_s * NS)
        self._senses = Senses(config, kinematics.joint_names)
        self._person = Person(config)
        self._resetting = Resetting(kinematics, limits, reset or ResetConfig())
        self._policy = PolicyStream()
        self._policy_heard_ns: int | None = None
        self._policy_stamp_ns = 0  # of the decision taken last
        self._policy_moved_last = False
        self._stop_reason = ""
        self._reference: Reference | None = None
        self._source = CommandSource.NONE
        self._hold_q: Vector | None = None  # (J,) latched when a hold or a stop began
        self._last_tick_ns: int | None = None
        self._gripper = math.nan  # commanded level
        self._notes: list[Note] = []

    @property
    def gripper(self) -> float:
        """Gripper level commanded last, else measured; NaN when neither is known."""
        return self._senses.gripper if math.isnan(self._gripper) else self._gripper

    @property
    def stopped(self) -> bool:
        """Whether the stop is latched."""
        return bool(self._stop_reason)

    @property
    def stop_reason(self) -> str:
        """Who stopped it and why; empty when not stopped."""
        return self._stop_reason

    @property
    def joint_text(self) -> str:
        """What is wrong with the newest joint states; empty when they are good."""
        return self._senses.joint_text

    def joint_problem(self, now_ns: int) -> str:
        """Why there is no measured pose at this moment; empty when there is one."""
        return self._senses.joint_problem(now_ns)

    # --- what comes in -------------------------------------------------------------------------------------------

    def on_joint_state(self, sample: JointSample) -> str:
        """Take joint states; broken ones are not used and age into silence.

        :return: what is wrong with the sample (also kept in ``joint_text``); empty when it is good.
        """
        return self._senses.on_joint_state(sample)

    def on_images(self, stamp_ns: int) -> None:
        """Take the stamp of the newest camera pair."""
        self._senses.on_images(stamp_ns)

    def on_policy(self, action: PolicyAction, now_ns: int) -> str:
        """Take a policy action.

        :return: why it is dropped (the next tick's record says so too); empty when it will be executed.
        """
        reason, text = action_problem(
            action,
            now_ns,
            max_age_ns=round(self._config.policy_timeout_s * NS),
            future_ns=round(self._config.future_s * NS),
            max_period_ns=round(_MAX_PERIODS * self._config.decision_s * NS),
        )
        if not text:
            text = self._not_newer(action.decision_stamp_ns)
            reason = LimitReason.STALE_POLICY
        if text:
            self._notes.append((reason, text))
        else:
            self._policy.add(action)
            self._policy_heard_ns, self._policy_stamp_ns = now_ns, action.decision_stamp_ns
        return text

    def _not_newer(self, stamp_ns: int) -> str:
        """Say that a decision was executed already; one that lies far back is of a restarted clock."""
        behind_s = (self._policy_stamp_ns - stamp_ns) / NS
        if not 0.0 <= behind_s <= self._config.policy_timeout_s:
            return ""
        return (
            f"policy action: expected a decision newer than the last, got one {behind_s:.3f} s behind; "
            "dropped, does a second sender publish on policy/action?"
        )

    def on_human(self, command: HumanCommand, now_ns: int) -> str:
        """Take what a person asks for; it holds until the device's next one or ``human_timeout_s``.

        :return: what is wrong with it (the next tick's record says so too); empty when it counts.
        """
        note = self._person.on_command(command, now_ns)
        self._note(note)
        return "" if note is None else note[1]

    def on_reset(self, target: ResetTarget, now_ns: int) -> str:
        """Ask for the way home; how it stands is in every record (``reset_state``).

        :return: why it is refused; empty when it begins.
        """
        self._note(self._resetting.end("replaced by a newer request"))
        obstacle = self._stop_reason or ("a person drives" if self._person.engaged else "")
        text = self._resetting.begin(target, obstacle)
        return self.refuse_reset(target.stamp_ns, text) if text else ""

    def refuse_reset(self, stamp_ns: int, text: str) -> str:
        """Report a request that cannot be carried out as failed."""
        self._note(self._resetting.refuse(stamp_ns, text))
        return text

    def stop(self, reason: str) -> None:
        """Latch the stop: the arm stays where it is measured to be until :meth:`clear_stop`."""
        self._stop_reason = self._stop_reason or reason or "stop"

    def clear_stop(self) -> None:
        """Release the stop; nothing that was asked for before goes on, a stick still held included."""
        if self.stopped:
            self._person.require_release()
        self._stop_reason = ""
        self._policy.clear()

    # --- one tick ------------------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> CommandTick:
        """Decide who moves the arm, move the reference pose, and say what was asked and what was done.

        :param now_ns: present time; call every ``tick_s``. A late tick is made up for by at most half a tick, a clock
            that stands still or jumps back moves nothing.
        """
        elapsed_ns = self._elapsed(now_ns)
        human = self._person.driving(now_ns)
        source, reasons = choose(self._standing(now_ns))
        self._enter(source, reasons)
        step = self._step(source, elapsed_ns, human)
        if math.isfinite(step.gripper):
            self._gripper = min(1.0, max(0.0, step.gripper))
        points = self._points(step.going_on) if source is not CommandSource.NONE else ()
        record = self._record(now_ns, source, reasons, step, points)
        speak = bool(points) and math.isfinite(self._gripper)
        return CommandTick(record, points, self._gripper if speak else None)

    def _step(self, source: CommandSource, elapsed_ns: int, human: HumanCommand | None) -> _Step:
        q = self._senses.q
        if source is CommandSource.NONE or q is None:
            return _STILL
        if self._reference is None:
            self._reference = Reference(self._kinematics, self._limits, q)
        if source is CommandSource.POLICY:
            return self._step_policy(self._reference, q, elapsed_ns)
        if source is CommandSource.HUMAN:
            return self._step_human(self._reference, q, elapsed_ns, human)
        if source is CommandSource.RESET:
            return self._step_reset(self._reference, q, elapsed_ns)
        return self._step_hold(self._reference, q, source)

    def _step_policy(self, reference: Reference, q: Vector, elapsed_ns: int) -> _Step:
        share = self._policy.take(elapsed_ns, self._tick_ns)
        if share is None:
            return _STILL
        self._policy_moved_last = True
        periods = share.fraction * share.action.period_ns / (self._config.decision_s * NS)
        return _Step(
            proposed=share.displacement,
            moved=reference.move(share.displacement, periods, q, self._config.tick_s),
            decision_stamp_ns=share.action.decision_stamp_ns,
            gripper=share.action.gripper,
            going_on=not share.last,
        )

    def _step_human(
        self, reference: Reference, q: Vector, elapsed_ns: int, human: HumanCommand | None
    ) -> _Step:
        twist = _NOTHING if human is None else np.asarray(human.twist, dtype=np.float64)
        notes: tuple[Note, ...] = ()
        if twist.shape != (6,) or not np.all(np.isfinite(twist)):
            text = f"expected 6 finite twist values, got {twist.tolist()}; at rest"
            notes, twist = ((LimitReason.NON_FINITE, text),), _NOTHING
        asked = twist * (elapsed_ns / NS)  # (6,)
        periods = elapsed_ns / NS / self._config.decision_s
        moved = reference.move(asked, periods, q, self._config.tick_s)
        gripper = self._person.take_gripper()
        return _Step(asked, moved, gripper=gripper, going_on=bool(np.any(asked)), notes=notes)

    def _step_reset(self, reference: Reference, q: Vector, elapsed_ns: int) -> _Step:
        moved, gripper, ended = self._resetting.step(
            reference, q, elapsed_ns / NS, self._config.tick_s
        )
        notes = () if ended is None else (ended,)
        return _Step(moved.executed, moved, gripper=gripper, going_on=ended is None, notes=notes)

    def _step_hold(self, reference: Reference, q: Vector, source: CommandSource) -> _Step:
        if self._hold_q is None:
            # A stop goes where the arm is measured to be, which ends any pushing.
            stop = source is CommandSource.STOP
            self._hold_q = q if stop else reference.hold_target(q)
        return _Step(_NOTHING, reference.approach(self._hold_q, self._config.tick_s))

    # --- parts ---------------------------------------------------------------------------------------------------

    def _elapsed(self, now_ns: int) -> int:
        before, self._last_tick_ns = self._last_tick_ns, now_ns
        if before is None:
            return self._tick_ns
        return int(min(max(now_ns - before, 0), _MAX_TICKS * self._tick_ns))

    def _standing(self, now_ns: int) -> Standing:
        heard = self._policy_heard_ns
        return Standing(
            joints_fresh=self._senses.joints_fresh(now_ns),
            images_fresh=self._senses.images_fresh(now_ns),
            stopped=self.stopped,
            human=self._person.engaged,
            reset=self._resetting.active,
            policy=self._policy.active,
            policy_asks=heard is not None and now_ns - heard <= 2.0 * self._config.decision_s * NS,
            policy_awaited=self._policy_moved_last,
        )

    def _enter(self, source: CommandSource, reasons: LimitReason) -> None:
        if source is not CommandSource.RESET:
            self._note(self._resetting.end(in_words(reasons) or "another source has the arm"))
        if source is not CommandSource.POLICY:
            self._policy.clear()
        if source is not CommandSource.HUMAN:
            self._person.take_gripper()  # asked for without authority
        if source in (CommandSource.STOP, CommandSource.HUMAN, CommandSource.RESET):
            self._policy_moved_last = False
        if source is CommandSource.NONE:
            self._reference = None  # the arm may move unseen: start from the measurement again
        if source is not self._source:
            self._hold_q = None
        self._source = source

    def _points(self, going_on: bool) -> tuple[TrajectoryPoint, ...]:
        assert self._reference is not None
        return (
            TrajectoryPoint(self._tick_ns, self._reference.q),
            TrajectoryPoint(2 * self._tick_ns, self._reference.ahead(going_on)),
        )

    def _record(
        self,
        now_ns: int,
        source: CommandSource,
        reasons: LimitReason,
        step: _Step,
        points: tuple[TrajectoryPoint, ...],
    ) -> CommandRecord:
        notes, self._notes = [*self._notes, *step.notes], []
        for reason in (step.moved.reasons, *(reason for reason, _ in notes)):
            reasons |= reason
        return CommandRecord(
            stamp_ns=now_ns,
            source=source,
            decision_stamp_ns=step.decision_stamp_ns,
            proposed=step.proposed,
            executed=step.moved.executed,
            gripper_proposed=step.gripper if math.isfinite(step.gripper) else self.gripper,
            gripper_executed=self.gripper,
            joint_names=self._kinematics.joint_names if points else (),
            joint_positions=points[0].positions if points else np.zeros(0),
            reasons=reasons,
            text="; ".join(filter(None, [in_words(reasons), *(text for _, text in notes)])),
            reset_state=self._resetting.state,
            reset_stamp_ns=self._resetting.stamp_ns,
        )

    def _note(self, note: Note | None) -> None:
        if note is not None:
            self._notes.append(note)
