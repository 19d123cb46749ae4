"""Seed and actor in, one whole episode out: cell, command path and label lane in one process and one thread.

The same parts as in the graph (command core, label lane, assembler), advanced decision by decision instead of by
clocks: on one machine and renderer with fixed weights, the same seed and actor give the same episode, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dopamine_core.control.command_core import CommandCore
from dopamine_core.control.teleop import HumanCommand
from dopamine_core.episodes.assembler import AssemblerConfig, EpisodeAssembler
from dopamine_core.episodes.data import EpisodeData
from dopamine_core.frames.codec import encode
from dopamine_core.reward.labelling import EpisodeLabeller, unlabelled
from dopamine_core.reward.session import References, RewardModel
from dopamine_core.reward.success import CONSECUTIVE, SuccessRule
from dopamine_core.types import (
    Decision,
    DecisionOwner,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    FramePair,
    JointSample,
    ModelId,
    Outcome,
    OutcomeSource,
    PolicyAction,
    Potential,
    Status,
)
from dopamine_sim.cell import Cell
from dopamine_sim.joint_trajectory_controller import Point
from dopamine_sim.operators import MAX_STEP_M, Operator
from dopamine_sim.rollout import DECISION_NS

TICK_NS = 20_000_000
_WARM_UP_TICKS = 5
_AFTER_SUCCESS = 3  # decisions that a demonstration shows after the task is done
_NO_MODEL = ModelId(name="none", sha256="")


@dataclass(frozen=True)
class Asked:
    """What an actor wants during the next decision period."""

    displacement: NDArray[np.float64]  # (6,) m and rad in base_link
    gripper: float  # 0 open ... 1 closed; NaN leaves it as it is
    human: bool = False  # goes through the teleoperation path
    done: bool = False  # the person believes that it is over


@dataclass(frozen=True)
class Seen:
    """What an actor knows at one decision."""

    decision: Decision
    pair: FramePair
    joints: JointSample
    commanded: NDArray[np.float64] | None  # (J,) newest commanded joint positions
    potential: Potential


class Actor(Protocol):
    """Acts in one episode."""

    def act(self, seen: Seen) -> Asked:
        """Choose what to do until the next decision."""


class ScriptedOperator:
    """A scripted person at the game controller, in lock-step."""

    def __init__(self, cell: Cell, mode: str = "expert", *, seed: int = 0) -> None:
        self._operator = Operator(cell.task, cell.scene, mode, seed=seed)

    def act(self, seen: Seen) -> Asked:
        """Look at the scene, as a person does; ``seen`` is not needed."""
        command = self._operator.command()
        return Asked(command.twist * MAX_STEP_M, command.gripper, human=True, done=command.done)


@dataclass(frozen=True)
class LockstepResult:
    """One finished episode and what only the simulator knows of it."""

    episode: EpisodeData
    true_success: bool  # at the end; for reports only
    true_progress: float  # at the end, [0, 1]; for reports only


class Lockstep:
    """Plays whole episodes in one thread.

    :param cell: the cell; its clock runs on from episode to episode.
    :param make_core: makes a fresh command core per episode, as a restarted command node would be.
    :param image_size: (width, height) of the cameras in pixels.
    """

    def __init__(
        self,
        cell: Cell,
        make_core: Callable[[], CommandCore],
        *,
        image_size: tuple[int, int] = (640, 480),
    ) -> None:
        self.cell = cell
        self._make_core = make_core
        self._image_size = image_size
        self._count = 0
        if cell.now_ns == 0:
            cell.advance(DECISION_NS)  # a zero stamp means no stamp everywhere else

    def play(
        self,
        actor: Callable[[Cell], Actor],
        *,
        seed: int,
        shift: bool = False,
        kind: EpisodeKind = EpisodeKind.ROLLOUT,
        model: RewardModel | None = None,
        references: References | None = None,
        consecutive: int = CONSECUTIVE,
        max_decisions: int | None = None,
    ) -> LockstepResult:
        """Reset the scene, play one episode and assemble it.

        A demonstration ends in success when the operator sees it (and is discarded when the person gives up); any
        other episode ends when the reward model's success rule fires, or at the time limit.

        :param actor: called with the freshly reset cell.
        :param seed: of the scene.
        :param shift: the task's declared shift.
        :param model: reward model; without one every potential is NO_TASK.
        :param references: of the task; required with a model.
        :param consecutive: readings in a row that success asks for.
        :param max_decisions: time limit; None takes the task's own.
        """
        run = _Run(self.cell, self._make_core(), self._image_size, self._next_id(kind), kind)
        self.cell.reset(seed, shift=shift)
        run.warm_up()
        labeller = None
        if model is not None and references is not None:
            rule = SuccessRule(model.success_threshold, consecutive, model.success_signal)
            labeller = EpisodeLabeller(model, references, rule)
        limit = max_decisions or self.cell.task.info.max_decisions
        outcome, source, success_ns = run.until_end(actor(self.cell), labeller, limit)
        truth = self.cell.truth()
        episode = run.close(outcome, source, success_ns)
        return LockstepResult(episode, truth.success, truth.progress)

    def _next_id(self, kind: EpisodeKind) -> str:
        self._count += 1
        return f"lockstep-{kind.name.lower()}-{self._count:05d}"


class _Run:
    """One episode under way."""

    def __init__(
        self, cell: Cell, core: CommandCore, image_size: tuple[int, int], episode_id: str, kind: EpisodeKind
    ) -> None:
        self._cell, self._core, self._image_size = cell, core, image_size
        self._assembler = EpisodeAssembler(AssemblerConfig())
        self._id, self._kind = episode_id, kind
        self._commanded: NDArray[np.float64] | None = None
        self._human: Asked | None = None
        self._start_ns = 0

    def warm_up(self) -> None:
        """Let the command path latch the pose, so that the first decision knows a commanded one."""
        self._ticks(_WARM_UP_TICKS)
        self._start_ns = self._cell.now_ns
        self._assembler.on_episode(self._info(EpisodeState.OPEN))

    def until_end(
        self, actor: Actor, labeller: EpisodeLabeller | None, limit: int
    ) -> tuple[Outcome, OutcomeSource, int]:
        """Decide and act until the episode ends; return how, who said so and the success stamp."""
        done_for = 0
        for index in range(limit + 1):
            seen = self._look(index, labeller)
            if self._kind is EpisodeKind.DEMONSTRATION:
                done_for = done_for + 1 if self._cell.truth().success else 0
                if done_for > _AFTER_SUCCESS:
                    return Outcome.SUCCESS, OutcomeSource.OPERATOR, seen.decision.stamp_ns
            elif labeller is not None and labeller.success is not None:
                return Outcome.SUCCESS, OutcomeSource.REWARD_NODE, labeller.success.stamp_ns
            if index == limit:
                break
            asked = actor.act(seen)
            if asked.done and self._kind is EpisodeKind.DEMONSTRATION:
                return Outcome.DISCARDED, OutcomeSource.OPERATOR, 0
            self._do(asked, seen)
        return Outcome.TIME_LIMIT, OutcomeSource.TIMER, 0

    def close(self, outcome: Outcome, source: OutcomeSource, success_ns: int) -> EpisodeData:
        """Close the episode and take it from the assembler."""
        self._assembler.on_episode(self._info(EpisodeState.CLOSED, outcome, source, success_ns))
        return self._assembler.flush()[0]

    def _look(self, index: int, labeller: EpisodeLabeller | None) -> Seen:
        now_ns = self._cell.now_ns
        front, wrist = (encode(self._cell.render(c, *self._image_size), now_ns) for c in ("front", "wrist"))
        pair, joints = FramePair(front, wrist), self._cell.joint_state().sample
        owner = DecisionOwner.DEMO if self._kind is EpisodeKind.DEMONSTRATION else DecisionOwner.AGENT
        decision = Decision(now_ns, self._id, index, owner, now_ns, now_ns, now_ns)
        self._core.on_images(now_ns)
        if labeller is None:
            potential = unlabelled(decision, Status.NO_TASK, "no reward model", _NO_MODEL)
        else:
            potential = labeller.label(decision, pair)
        self._assembler.add_pair(pair)
        self._assembler.add_joints(joints)
        self._assembler.add_decision(decision)
        self._assembler.add_potential(potential)
        return Seen(decision, pair, joints, self._commanded, potential)

    def _do(self, asked: Asked, seen: Seen) -> None:
        self._human = asked if asked.human else None
        if not asked.human:
            action = PolicyAction(
                decision_stamp_ns=seen.decision.stamp_ns,
                episode_id=self._id,
                index=seen.decision.index,
                displacement=asked.displacement,
                gripper=asked.gripper,
                period_ns=DECISION_NS,
            )
            self._core.on_policy(action, self._cell.now_ns)
        self._ticks(DECISION_NS // TICK_NS)

    def _ticks(self, count: int) -> None:
        for _ in range(count):
            self._core.on_joint_state(self._cell.joint_state().sample)
            if self._human is not None:
                self._core.on_human(self._human_command(self._human), self._cell.now_ns)
            self._cell.advance(TICK_NS)
            tick = self._core.tick(self._cell.now_ns)
            self._assembler.add_command(tick.record)
            if tick.points:
                self._commanded = np.array(tick.record.joint_positions)
                points = [Point(p.time_from_start_ns, p.positions) for p in tick.points]
                self._cell.submit_trajectory(tick.record.joint_names, points)
            if tick.gripper is not None:
                self._cell.command_gripper(tick.gripper)

    def _human_command(self, asked: Asked) -> HumanCommand:
        twist = asked.displacement * (1e9 / DECISION_NS)
        return HumanCommand(self._cell.now_ns, twist, asked.gripper, dead_man=True)

    def _info(
        self,
        state: EpisodeState,
        outcome: Outcome = Outcome.UNKNOWN,
        source: OutcomeSource = OutcomeSource.NONE,
        success_ns: int = 0,
    ) -> EpisodeInfo:
        closed = state is EpisodeState.CLOSED
        return EpisodeInfo(
            episode_id=self._id,
            state=state,
            kind=self._kind,
            task=self._cell.task.info.sentence,
            stamp_ns=self._cell.now_ns,
            start_ns=self._start_ns,
            end_ns=self._cell.now_ns if closed else 0,
            outcome=outcome,
            outcome_source=source,
            success_ns=success_ns,
            kept=closed and self._kind is EpisodeKind.DEMONSTRATION and outcome is Outcome.SUCCESS,
        )
