"""Newest frames, joints and potentials in; one decision per period and, after a constant delay, its action out.

Pure and clockless: the agent node calls it, tests drive it on a hand-made clock. Never imports torch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from dopamine_core.config import check, setting
from dopamine_core.control.period import PeriodMeter
from dopamine_core.episodes.ticks import TickLog
from dopamine_core.errors import ConfigError, DopamineError, FrameError, LearnerError
from dopamine_core.rl.action_space import ActionSpace
from dopamine_core.rl.observation import ObservationBuilder, Sensed
from dopamine_core.rl.policy import OnnxPolicy
from dopamine_core.rl.remembering_encoder import RememberingEncoder
from dopamine_core.types import (
    CommandRecord,
    Decision,
    DecisionOwner,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    FramePair,
    JointSample,
    PolicyAction,
    Potential,
)

NS = 1_000_000_000
_ACTING_KINDS = (EpisodeKind.ROLLOUT, EpisodeKind.EVALUATION)
_COMMAND_HISTORY_NS = 2 * NS
_TICK_GAP_NS = NS // 10


@dataclass(frozen=True)
class DecisionConfig:
    """Timing of the decisions, and which policy is deployed."""

    decision_s: float = setting(0.1, doc="Period of the decisions.", unit="s", low=0.02, high=1.0)
    release_s: float = setting(
        0.06,
        doc="Delay from a decision to its action; constant, so that the period does not jitter.",
        unit="s",
        low=0.0,
        high=1.0,
    )
    deadline_s: float = setting(
        0.09, doc="Without a potential until then there is no action.", unit="s", low=0.0, high=1.0
    )
    frame_timeout_s: float = setting(
        0.2, doc="With an older camera pair nothing is decided.", unit="s", low=0.02, high=5.0
    )
    joint_timeout_s: float = setting(
        0.2, doc="With older joint states nothing is decided.", unit="s", low=0.02, high=5.0
    )
    evaluation_mode: str = setting(
        "greedy",
        doc="Policy of evaluation episodes: its mode, or drawn as in rollouts. Rollouts follow 'mode'.",
        choices=("greedy", "sampled"),
    )
    seed: int = setting(0, doc="Seed of the exploration noise.", low=0)

    def __post_init__(self) -> None:
        check(self)
        if not self.release_s <= self.deadline_s <= self.decision_s:
            raise ConfigError(
                expected="release_s <= deadline_s <= decision_s",
                got=f"{self.release_s}, {self.deadline_s}, {self.decision_s}",
                remedy="correct the agent's timing",
            )


@dataclass(frozen=True)
class Pending:
    """A decision that waits for its potential."""

    decision: Decision
    pair: FramePair
    joints: JointSample


class DecisionMaker:
    """Decides at 10 Hz in open rollouts and evaluations, and acts with the policy of the episode's start.

    :param config: timing.
    :param builder: makes observations; its encoder is a :class:`RememberingEncoder`.
    """

    def __init__(self, config: DecisionConfig, builder: ObservationBuilder) -> None:
        self._config = config
        self._builder = builder
        self._pair: FramePair | None = None
        self._joints: JointSample | None = None
        self._ticks = TickLog(_TICK_GAP_NS)
        self._gripper = float("nan")
        self._episode: EpisodeInfo | None = None
        self._episodes = 0
        self._index = 0
        self._last_stamp_ns = 0
        self._potential: Potential | None = None
        self._policy: OnnxPolicy | None = None
        self._version = 0
        self._waiting: tuple[OnnxPolicy, int] | None = None
        self.pending: Pending | None = None
        self.counts: Counter[str] = Counter()
        self.problem = "no episode yet"
        self.decision_period = PeriodMeter(round(config.decision_s * NS))
        self.action_period = PeriodMeter(round(config.decision_s * NS))

    @property
    def version(self) -> int:
        """Version of the policy that acts; 0 without one."""
        return self._version

    @property
    def busy(self) -> bool:
        """Whether an episode is open in which this agent decides."""
        return self._episode is not None

    # --- what comes in -------------------------------------------------------------------------------------------

    def on_pair(self, pair: FramePair) -> None:
        """Take the newest camera pair."""
        self._pair = pair

    def on_joints(self, sample: JointSample) -> None:
        """Take the newest joint states; a sample without one name per position is not used."""
        if len(sample.names) == len(sample.position):
            self._joints = sample
        else:
            self.counts["unusable joint states"] += 1

    def on_command(self, record: CommandRecord) -> None:
        """Take a tick of the command path: what is commanded is part of the observation."""
        self._ticks.add(record)
        self._ticks.forget_before(record.stamp_ns - _COMMAND_HISTORY_NS)
        self._gripper = record.gripper_executed

    def on_potential(self, potential: Potential) -> None:
        """Take an answer of the label lane; only the pending decision's matters here."""
        pending = self.pending
        if pending and potential.decision_stamp_ns == pending.decision.stamp_ns:
            self._potential = potential

    def on_policy(self, policy: OnnxPolicy, version: int) -> None:
        """Take policy weights; they act from the next episode on.

        :raises LearnerError: when they were made for other observations; the present ones stay.
        """
        policy.require_encoder(self._builder.encoder.sha256)
        if policy.info.observation != self._builder.layout:
            raise LearnerError(
                expected=f"a policy for the observation [{self._builder.layout}]",
                got=f"one for [{policy.info.observation}]",
                remedy="give agent and learner the same observation settings",
            )
        self._waiting = (policy, version)
        if not self.busy:
            self._swap()

    def on_episode(self, info: EpisodeInfo) -> None:
        """Take the state of the episode.

        A decision still pending when it closes gets no action.
        """
        ours = info.state is EpisodeState.OPEN and info.kind in _ACTING_KINDS
        if self.busy and ours and self._episode and info.episode_id == self._episode.episode_id:
            return
        self.pending = self._potential = None
        self._episode = info if ours else None
        self.decision_period.pause()
        self.action_period.pause()
        self._swap()
        if ours:
            self._begin()

    def _begin(self) -> None:
        self._index = self._last_stamp_ns = 0
        self._episodes += 1
        self.problem = "" if self._policy else "no policy yet: waiting for learner/policy"
        if self._policy:
            self._policy.begin_episode(hash((self._config.seed, self._episodes)) & 0x7FFFFFFF)

    def _swap(self) -> None:
        if self._waiting is not None:
            (self._policy, self._version), self._waiting = self._waiting, None

    # --- decide and act ------------------------------------------------------------------------------------------

    def decide(self, now_ns: int) -> Decision | None:
        """Fix what is looked at now; None when no episode is open or a sensor is stale (``problem`` says which).

        :param now_ns: call once per period.
        """
        if self._episode is None:
            return None
        if self.pending is not None:
            self._give_up("the last decision was never answered")
        problem = self._stale(now_ns)
        if problem or now_ns <= self._last_stamp_ns:
            self.counts["decisions not made"] += 1
            self.problem = problem or "the clock stands still"
            return None
        assert self._pair is not None and self._joints is not None
        front, wrist = self._pair.key
        decision = Decision(
            stamp_ns=now_ns,
            episode_id=self._episode.episode_id,
            index=self._index,
            owner=DecisionOwner.AGENT,
            front_stamp_ns=front,
            wrist_stamp_ns=wrist,
            joint_stamp_ns=self._joints.stamp_ns,
            policy_version=self._version,
        )
        self._index += 1
        self._last_stamp_ns = now_ns
        self.counts["decisions"] += 1
        self.decision_period.mark(now_ns)
        self._potential = None
        self.pending = Pending(decision, self._pair, self._joints)
        return decision

    def act(self, now_ns: int) -> PolicyAction | None:
        """Action of the pending decision, once its potential is there; None while it is not, or when it gives up.

        :param now_ns: call first at the release time, then every few milliseconds while ``pending``.
        """
        pending = self.pending
        if pending is None:
            return None
        if self._policy is None:
            return self._give_up("no policy yet: waiting for learner/policy")
        if self._potential is None:
            return self._wait(now_ns, pending, "no potential: is the reward node running?")
        if not self._potential.reading.ok:
            return self._give_up(f"no potential: {self._potential.reading.text}")
        if isinstance(
            self._builder.encoder, RememberingEncoder
        ) and not self._builder.encoder.has_seen(pending.pair):
            return self._wait(
                now_ns, pending, "image features took too long: is the machine overloaded?"
            )
        try:
            action = self._action(pending, self._policy, self._potential.potential)
        except DopamineError as error:
            return self._give_up(str(error))
        late = (
            now_ns - pending.decision.stamp_ns
            > self._config.release_s * NS + 0.1 * self._config.decision_s * NS
        )
        self.counts["actions"] += 1
        self.counts["late actions"] += int(late)
        self.action_period.mark(now_ns)
        self.pending, self.problem = None, ""
        return action

    def _action(self, pending: Pending, policy: OnnxPolicy, phi: float) -> PolicyAction:
        decision = pending.decision
        commanded = self._ticks.commanded(decision.stamp_ns)
        observation = self._builder.build(Sensed(pending.pair, pending.joints, commanded, phi))
        unit = policy.act(observation, greedy=self._greedy())
        displacement, gripper = ActionSpace(policy.info.action_space).to_action(unit, self._gripper)
        if not np.isfinite(gripper):
            raise FrameError(
                expected="a known gripper level in the command records",
                got="none",
                remedy="set gripper_joint of the command node, or reset with a gripper level",
            )
        return PolicyAction(
            decision_stamp_ns=decision.stamp_ns,
            episode_id=decision.episode_id,
            index=decision.index,
            displacement=displacement,
            gripper=gripper,
            period_ns=round(self._config.decision_s * NS),
            policy_version=self._version,
        )

    def _greedy(self) -> bool | None:
        assert self._episode is not None
        evaluation = self._episode.kind is EpisodeKind.EVALUATION
        return self._config.evaluation_mode == "greedy" if evaluation else None

    def _wait(self, now_ns: int, pending: Pending, why: str) -> None:
        if now_ns - pending.decision.stamp_ns >= self._config.deadline_s * NS:
            self._give_up(why)

    def _give_up(self, why: str) -> None:
        self.pending, self.problem = None, why
        self.counts["decisions without action"] += 1
        self.action_period.pause()

    def _stale(self, now_ns: int) -> str:
        if self._pair is None:
            return "no camera pair yet: is the reward node publishing reward/frame_pairs?"
        if self._joints is None:
            return "no joint states yet"
        ages = (
            ("camera pair", now_ns - self._pair.stamp_ns, self._config.frame_timeout_s),
            ("joint states", now_ns - self._joints.stamp_ns, self._config.joint_timeout_s),
        )
        for what, age_ns, timeout_s in ages:
            if age_ns > timeout_s * NS:
                return f"{what} last came {age_ns / NS:.2f} s ago (allowed {timeout_s} s)"
        return ""
