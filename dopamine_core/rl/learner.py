"""Observed episodes go in; gradient steps, policy versions and the health panel come out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.errors import LearnerError
from dopamine_core.reward.shaping import ShapingConfig, q_range
from dopamine_core.rl.buffer import Buffer, Transitions, sample_symmetric
from dopamine_core.rl.calql import AgentConfig, CalQLAgent
from dopamine_core.rl.export import export_policy
from dopamine_core.rl.normaliser import Normaliser, fit_normaliser
from dopamine_core.rl.policy import PolicyInfo
from dopamine_core.rl.status import PANEL, Counts, Health
from dopamine_core.rl.transitions import ObservedEpisode, TransitionConfig, make_transitions

_FEW_OUTSIDE = 0.05  # share of executed actions that a late decision may push out of range unsaid

METRICS_WINDOW = 100  # updates that the published metrics average over


@dataclass(frozen=True)
class LearnerConfig:
    """How much is learned from what, and when."""

    batch_size: int = setting(128, doc="Transitions per update (own pilot).", low=8, high=4096)
    online_share: float = setting(
        0.5, doc="Share of a batch that comes from practice (RLPD, ConRFT).", low=0.0, high=1.0
    )
    offline_steps: int = setting(2000, doc="Critic updates of offline training.", low=1, high=10**7)
    critic_updates: int = setting(
        2, doc="Critic updates per new decision (ConRFT: UTD 2).", low=1, high=64
    )
    actor_every: int = setting(2, doc="Critic updates per actor update.", low=1, high=64)
    components: int = setting(
        32, doc="Principal components kept per camera's features; 0 keeps all.", low=0, high=4096
    )
    capacity: int = setting(100_000, doc="Most transitions kept per buffer.", low=1000, high=10**7)
    warmup_episodes: int = setting(
        1, doc="Practice episodes before online learning begins.", low=0, high=1000
    )

    def __post_init__(self) -> None:
        check(self)


class Learner:
    """Offline on demonstrations, then online: counts, updates and exports.

    :param info: what the policy is for; its observation layout, encoder and axes.
    :param agent: numbers of the agent.
    :param config: numbers of the learner.
    :param shaping: numbers of the reward; gamma must equal the agent's.
    :param transitions: how transitions are cut.
    :param blocks: sizes of the feature blocks in the observation.
    :param floor: smallest standard deviations of the other columns.
    :param seed: of weights, sampled actions and batches.
    :raises LearnerError: when the discounts differ.
    """

    def __init__(
        self,
        info: PolicyInfo,
        *,
        agent: AgentConfig,
        config: LearnerConfig,
        shaping: ShapingConfig,
        transitions: TransitionConfig,
        blocks: tuple[int, ...],
        floor: NDArray[np.float32],
        seed: int,
    ) -> None:
        if shaping.gamma != agent.gamma:
            raise LearnerError(
                expected="one discount for reward and agent",
                got=f"{shaping.gamma} and {agent.gamma}",
                remedy="set both to the same gamma",
            )
        self.info, self.config, self.agent_config = info, config, agent
        self.shaping, self.transitions, self.seed = shaping, transitions, seed
        self._blocks, self._floor = blocks, floor
        self.offline, self.online = Buffer(config.capacity), Buffer(config.capacity)
        self.rng = np.random.default_rng(seed)
        self.agent: CalQLAgent | None = None
        self.normaliser: Normaliser | None = None
        self.gradient_steps = 0
        self.pending = 0  # critic updates owed to new practice
        self.counts = Counts()
        self.taken: list[tuple[ObservedEpisode, bool]] = []  # episode, whether a demonstration
        self._metrics: deque[dict[str, float]] = deque(maxlen=METRICS_WINDOW)

    def set_demonstrations(
        self, episodes: list[ObservedEpisode], normaliser: Normaliser | None = None
    ) -> None:
        """Fit the normaliser, fill the offline buffer and make a new agent.

        :param normaliser: of a checkpoint; None fits one, fixed from then on.
        :raises LearnerError: when no whole transition remains or two reward models labelled the episodes.
        """
        rows = np.concatenate([e.observations for e in episodes] or [np.zeros((0, 1), np.float32)])
        whole = rows[np.isfinite(rows).all(axis=1)]
        self.normaliser = normaliser or fit_normaliser(
            whole, self._blocks, components=self.config.components, floor=self._floor
        )
        self.counts, self.taken = Counts(), []
        self.offline, self.online = Buffer(self.config.capacity), Buffer(self.config.capacity)
        for episode in episodes:
            self._add(episode, demonstration=True)
        size = self.normaliser.weight.shape[1]
        best = q_range(self.shaping)[1]
        self.agent = CalQLAgent(
            size, len(self.info.axes), self.agent_config, self.seed, best_return=best
        )
        self.gradient_steps, self.pending = 0, 0

    def add_practice(self, episode: ObservedEpisode) -> int:
        """Take a practice episode; each of its transitions pays for ``critic_updates`` updates.

        :returns: number of whole transitions.
        :raises LearnerError: before demonstrations were set, or when another reward model labelled it.
        """
        count = self._add(episode, demonstration=False)
        self.pending += count * self.config.critic_updates
        return count

    def add_demonstration(self, episode: ObservedEpisode) -> int:
        """Take one more demonstration; the normaliser stays.

        :returns: number of whole transitions.
        :raises LearnerError: before the first demonstrations were set.
        """
        return self._add(episode, demonstration=True)

    def correct(self, episode: ObservedEpisode) -> bool:
        """Replace an episode whose outcome an operator corrected; buffers are filled anew.

        :returns: False when no episode of this id was taken.
        """
        taken = list(self.taken)
        places = [
            k for k, (e, _) in enumerate(taken) if e.info.episode_id == episode.info.episode_id
        ]
        if not places:
            return False
        for place in places:
            taken[place] = (episode, taken[place][1])
        self.counts, self.taken = Counts(), []
        self.offline, self.online = Buffer(self.config.capacity), Buffer(self.config.capacity)
        for kept, demonstration in taken:
            self._add(kept, demonstration=demonstration)
        return True

    def waiting_for(self) -> str:
        """Say why no update runs; empty while one can."""
        if self.agent is None:
            return "demonstrations: call train with at least one recorded demonstration"
        missing = self.config.warmup_episodes - self.counts.online_episodes
        if missing > 0:
            return f"{missing} more practice episode(s) before online learning begins"
        if self.pending <= 0:
            return "new practice: every transition so far has paid for its updates"
        return ""

    def update_offline(self) -> None:
        """One critic update on demonstrations, and an actor update when it is due."""
        self._ready().begin_phase(online=False)
        self._update(self.offline.sample(self.config.batch_size, self.rng))

    def update_online(self) -> None:
        """One critic update on a mixed batch, and an actor update when it is due."""
        self._ready().begin_phase(online=True)
        config = self.config
        batch = sample_symmetric(
            self.offline, self.online, config.batch_size, self.rng, config.online_share
        )
        self._update(batch)
        self.pending = max(0, self.pending - 1)

    def export(self) -> bytes:
        """Write the present policy as ONNX.

        :raises LearnerError: before demonstrations were set.
        """
        agent = self._ready()
        assert self.normaliser is not None
        info = PolicyInfo(**{**self.info.__dict__, "gradient_steps": self.gradient_steps})
        return export_policy(agent.actor_state(), self.normaliser, agent.log_std_range, info)

    def greedy(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Greedy actions (N, A) for raw observations (N, O)."""
        agent = self._ready()
        assert self.normaliser is not None
        return agent.act(self.normaliser(observations), greedy=True)

    def health(self) -> Health | None:
        """Summarise the last updates; None before the first."""
        if not self._metrics:
            return None
        means = {
            name: float(np.mean([m[name] for m in self._metrics if name in m] or [np.nan]))
            for name in PANEL
        }
        return Health(**means, warnings=tuple(self._warnings(means)))

    def _add(self, episode: ObservedEpisode, *, demonstration: bool) -> int:
        if self.normaliser is None:
            raise LearnerError(
                expected="demonstrations before practice",
                got="none",
                remedy="call train with recorded demonstrations",
            )
        cut = make_transitions(
            episode, self.normaliser, self.shaping, self.transitions, demonstration=demonstration
        )
        self.taken.append((episode, demonstration))
        self._count(cut.dropped, cut.out_of_range, len(cut.transitions), demonstration)
        if len(cut.transitions):
            (self.offline if demonstration else self.online).add(cut.transitions)
        return len(cut.transitions)

    def _count(self, dropped: int, outside: int, count: int, demonstration: bool) -> None:
        c = self.counts
        self.counts = Counts(
            c.offline_episodes + demonstration,
            c.online_episodes + (not demonstration),
            c.offline_transitions + (count if demonstration else 0),
            c.online_transitions + (0 if demonstration else count),
            c.dropped + dropped,
            c.out_of_range + outside,
        )

    def _update(self, batch: Transitions) -> None:
        agent = self._ready()
        metrics = agent.update_critic(batch)
        self.gradient_steps += 1
        if self.gradient_steps % self.config.actor_every == 0:
            metrics |= agent.update_actor(batch)
        if not np.isfinite(metrics["critic_loss"]):
            raise LearnerError(
                expected="a finite critic loss",
                got=str(metrics["critic_loss"]),
                remedy="resume from the last checkpoint and lower the learning rates",
            )
        self._metrics.append(metrics)

    def _ready(self) -> CalQLAgent:
        if self.agent is None:
            raise LearnerError(
                expected="demonstrations",
                got="none",
                remedy="call train with recorded demonstrations",
            )
        return self.agent

    def _warnings(self, means: dict[str, float]) -> list[str]:
        low, high = q_range(self.shaping)
        found = []
        for name in ("q_data", "q_policy"):
            if not low - 0.1 <= means[name] <= high + 0.1:
                found.append(
                    f"{name} {means[name]:.2f} lies outside the feasible [{low:g}, {high:g}]"
                )
        if means["action_saturation"] > 0.5:
            found.append(f"{means['action_saturation']:.0%} of the actions are saturated")
        counts = self.counts
        known = counts.offline_transitions + counts.online_transitions
        if counts.out_of_range > _FEW_OUTSIDE * known:
            found.append(
                f"{counts.out_of_range} of {known} executed actions exceed the policy's range: "
                "teleoperate slower, or raise action.max_step_m and max_step_rad"
            )
        return found
