"""One seed of ``first_learning``: demonstrations, adaptation, offline training, evaluation, practice, evaluation.

Lock-step and in one process, over the parts of the graph: cell, command core, label lane, assembler, learner. The
simulator's truth is used by the scripted operator, who sees the scene, and to judge; never by reward or policy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dopamine_core.control.command_core import CommandCore
from dopamine_core.control.kinematics import Kinematics
from dopamine_core.episodes.data import EpisodeData
from dopamine_core.reward.relabel import relabel
from dopamine_core.reward.session import References, RewardModel
from dopamine_core.reward.shaping import ShapingConfig
from dopamine_core.reward.success import CONSECUTIVE, SuccessConfig
from dopamine_core.rl.action_space import ActionSpace, ActionSpaceConfig
from dopamine_core.rl.calql import AgentConfig
from dopamine_core.rl.learner import Learner, LearnerConfig
from dopamine_core.rl.observation import Encoder, ObservationBuilder, ObservationConfig, Sensed
from dopamine_core.rl.policy import ActingConfig, OnnxPolicy, PolicyInfo
from dopamine_core.rl.transitions import ObservedEpisode, TransitionConfig, observe
from dopamine_core.types import EpisodeKind, FramePair, Outcome
from dopamine_sim.cell import Cell
from dopamine_sim.config import CellConfig
from dopamine_sim.lockstep import Asked, Lockstep, LockstepResult, ScriptedOperator, Seen

SCENES = 100_000  # scene seeds per benchmark seed: demonstrations, practice and evaluation never share one
PRACTICE, EVALUATION = 20_000, 40_000
PROBES = 400  # demonstration states on which the greedy policy is watched


@dataclass(frozen=True)
class Protocol:
    """What is done; the same for every seed."""

    task: str = "insert_peg"
    demonstrations: int = 15
    rollouts: int = 100
    evaluations: int = 20
    image_size: tuple[int, int] = (640, 480)
    consecutive: int = CONSECUTIVE
    deployed: str = "greedy"  # how the policy acts in evaluation; practice follows ActingConfig
    check_steps: int = 500  # offline updates between two looks at the greedy policy
    converged_change: float = (
        0.02  # mean |change of the greedy action| between two looks, of a range of 2
    )
    max_offline_steps: int = 8000


@dataclass(frozen=True)
class Settings:
    """The numbers of the learner, as the learner node declares them."""

    agent: AgentConfig = field(default_factory=AgentConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    transitions: TransitionConfig = field(default_factory=TransitionConfig)
    shaping: ShapingConfig = field(default_factory=ShapingConfig)
    action: ActionSpaceConfig = field(default_factory=ActionSpaceConfig)
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    acting: ActingConfig = field(default_factory=ActingConfig)


@dataclass(frozen=True)
class Reward:
    """An adapted reward model, what it is shown, and how its adaptation went."""

    model: RewardModel
    references: References
    report: dict[str, Any]


MakeReward = Callable[[list[EpisodeData]], Reward]


class EpisodeCache:
    """Encode each frame pair of an episode once: actor and learner ask for the same ones."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.name, self.sha256, self.sizes = encoder.name, encoder.sha256, encoder.sizes
        self._seen: dict[tuple[int, int], NDArray[np.float32]] = {}

    def features(self, pair: FramePair) -> NDArray[np.float32]:
        """Features (F,) of a pair."""
        if pair.key not in self._seen:
            self._seen[pair.key] = self._encoder.features(pair)
        return self._seen[pair.key]

    def forget(self) -> None:
        """Forget everything; call after each episode."""
        self._seen.clear()


class PolicyActor:
    """The policy in lock-step; it stands still where the reward model gave no reading."""

    def __init__(
        self, policy: OnnxPolicy, builder: ObservationBuilder, gripper: float, greedy: bool | None
    ) -> None:
        self._policy, self._builder = policy, builder
        self._space = ActionSpace(policy.info.action_space)
        self._gripper, self._greedy = gripper, greedy

    def act(self, seen: Seen) -> Asked:
        """Build the observation and act on it."""
        if not seen.potential.reading.ok:
            return Asked(np.zeros(6), self._gripper)
        sensed = Sensed(seen.pair, seen.joints, seen.commanded, seen.potential.potential)
        unit = self._policy.act(self._builder.build(sensed), self._greedy)
        return Asked(*self._space.to_action(unit, self._gripper))


@dataclass(frozen=True)
class Score:
    """Evaluation episodes, judged by the simulator."""

    successes: int
    episodes: int
    false_successes: int  # the reward model said success, the simulator did not
    missed_successes: int  # the other way round
    decisions: float  # mean length

    @property
    def rate(self) -> float:
        """Share of successes."""
        return self.successes / self.episodes


class LearningRun:
    """One seed.

    :param seed: of scenes, weights and noise; one seed is one room: colours, light and cameras stay.
    :param make_core: makes a fresh command core.
    :param say: takes a line about what happens.
    """

    def __init__(
        self,
        seed: int,
        protocol: Protocol,
        settings: Settings,
        encoder: Encoder,
        make_core: Callable[[Kinematics], CommandCore],
        say: Callable[[str], None] = print,
    ) -> None:
        self.seed, self.protocol, self.settings, self._say = seed, protocol, settings, say
        self.cell = Cell(protocol.task, config=CellConfig(look_seed=seed))
        kinematics = Kinematics()
        self._lockstep = Lockstep(
            self.cell, lambda: make_core(kinematics), image_size=protocol.image_size
        )
        self._encoder = EpisodeCache(encoder)
        self.builder = ObservationBuilder(self._encoder, kinematics, settings.observation)
        self._space = ActionSpace(settings.action)
        self._gripper = self.cell.task.info.start_gripper
        self.learner = self._make_learner()
        self.reward: Reward | None = None
        self.seconds: dict[str, float] = {}

    def run(self, make_reward: MakeReward) -> dict[str, Any]:
        """Do everything once.

        :param make_reward: adapts the reward model to the first of the demonstrations.
        :returns: the record of this seed, JSON-ready.
        """
        record: dict[str, Any] = {"seed": self.seed}
        demonstrations = self._timed("demonstrate", self.demonstrate)
        self.reward = self._timed("adapt", lambda: make_reward(demonstrations))
        record["adaptation"] = self.reward.report
        record["offline"] = self._timed("offline", lambda: self.train_offline(demonstrations))
        record["before"] = self._timed("evaluate", lambda: self.evaluate_all(plain=True))
        self._say(f"before: {_words(record['before'])}")
        record["practice"] = self._timed("practise", self.practise)
        record["after"] = self._timed("evaluate", self.evaluate_all)
        self._say(f"after: {_words(record['after'])}")
        record["gain"] = record["after"]["deployed"]["rate"] - record["before"]["deployed"]["rate"]
        record["seconds"] = {name: round(value, 1) for name, value in self.seconds.items()}
        return record

    # --- parts ---------------------------------------------------------------------------------------------------

    def demonstrate(self) -> list[EpisodeData]:
        """Let the scripted person demonstrate until enough episodes are kept."""
        kept: list[EpisodeData] = []
        scene = self.seed * SCENES
        while len(kept) < self.protocol.demonstrations:
            result = self._lockstep.play(
                lambda cell, seed=scene: ScriptedOperator(cell, seed=seed),  # type: ignore[misc]
                seed=scene,
                kind=EpisodeKind.DEMONSTRATION,
            )
            scene += 1
            if result.episode.info.kept:
                kept.append(result.episode)
        lengths = [len(episode) for episode in kept]
        self._say(f"{len(kept)} demonstrations of {min(lengths)}-{max(lengths)} decisions")
        return kept

    def train_offline(self, demonstrations: list[EpisodeData]) -> dict[str, Any]:
        """Train until the greedy policy no longer changes on the demonstrations' states.

        :returns: the curve, and why it ended.
        """
        protocol, learner = self.protocol, self.learner
        learner.set_demonstrations([self._observe(self._label(d)) for d in demonstrations])
        probes = self._probes()
        before, curve, small = learner.greedy(probes), [], 0
        while learner.gradient_steps < protocol.max_offline_steps and small < 2:
            for _ in range(protocol.check_steps):
                learner.update_offline()
            after = learner.greedy(probes)
            change = float(np.abs(after - before).mean())
            small = small + 1 if change < protocol.converged_change else 0
            before = after
            curve.append({"steps": learner.gradient_steps, "change": change} | self._health())
        self._say(f"offline: {learner.gradient_steps} updates, last change {change:.4f}")
        return {"converged": small >= 2, "steps": learner.gradient_steps, "curve": curve}

    def practise(self) -> dict[str, Any]:
        """Let the policy practise under the shift; it learns between episodes."""
        rows: list[dict[str, Any]] = []
        update_s, updates = 0.0, 0
        for index in range(self.protocol.rollouts):
            result = self._play(index + PRACTICE, EpisodeKind.ROLLOUT, greedy=None)
            self.learner.add_practice(self._observe(result.episode))
            start_s, start = time.perf_counter(), self.learner.gradient_steps
            while not self.learner.waiting_for():
                self.learner.update_online()
            update_s += time.perf_counter() - start_s
            updates += self.learner.gradient_steps - start
            rows.append(self._row(result))
            if (index + 1) % 10 == 0:
                recent = rows[-10:]
                self._say(
                    f"  {index + 1} rollouts: true {sum(r['true'] for r in recent)}/10, "
                    f"said {sum(r['said'] for r in recent)}/10, {self._health()}"
                )
        return {
            "episodes": rows,
            "false_successes": sum(r["said"] and not r["true"] for r in rows),
            "missed_successes": sum(r["true"] and not r["said"] for r in rows),
            "update_ms": 1e3 * update_s / max(updates, 1),
            "updates": updates,
            "dropped": self.learner.counts.dropped,
            "out_of_range": self.learner.counts.out_of_range,
        }

    def evaluate_all(self, plain: bool = False) -> dict[str, Any]:
        """Evaluate the deployed way of acting and the other one; with ``plain`` also without the shift."""
        deployed = self.protocol.deployed == "greedy"
        scores = {
            "deployed": self.evaluate(greedy=deployed),
            "sampled" if deployed else "greedy": self.evaluate(greedy=not deployed),
        }
        if plain:
            scores["without_shift"] = self.evaluate(greedy=deployed, shift=False)
        return {name: asdict(score) | {"rate": score.rate} for name, score in scores.items()}

    def evaluate(self, *, greedy: bool, shift: bool = True) -> Score:
        """Play fresh scenes, the same ones each time."""
        rows = [
            self._row(self._play(index + EVALUATION, EpisodeKind.EVALUATION, greedy, shift))
            for index in range(self.protocol.evaluations)
        ]
        return Score(
            successes=sum(r["true"] for r in rows),
            episodes=len(rows),
            false_successes=sum(r["said"] and not r["true"] for r in rows),
            missed_successes=sum(r["true"] and not r["said"] for r in rows),
            decisions=float(np.mean([r["decisions"] for r in rows])),
        )

    # --- pieces --------------------------------------------------------------------------------------------------

    def _play(
        self, index: int, kind: EpisodeKind, greedy: bool | None, shift: bool = True
    ) -> LockstepResult:
        assert self.reward is not None
        scene = self.seed * SCENES + index
        policy = OnnxPolicy(self.learner.export(), self.settings.acting, seed=scene)
        return self._lockstep.play(
            lambda _: PolicyActor(policy, self.builder, self._gripper, greedy),
            seed=scene,
            shift=shift,
            kind=kind,
            model=self.reward.model,
            references=self.reward.references,
            consecutive=self.protocol.consecutive,
        )

    def _row(self, result: LockstepResult) -> dict[str, Any]:
        self._encoder.forget()
        said = result.episode.info.outcome is Outcome.SUCCESS
        return {
            "true": result.true_success,
            "said": said,
            "progress": round(result.true_progress, 3),
            "phi": round(_last_phi(result.episode), 3),
            "decisions": len(result.episode),
        }

    def _label(self, demonstration: EpisodeData) -> EpisodeData:
        assert self.reward is not None
        rule = SuccessConfig(consecutive=self.protocol.consecutive)
        return relabel(demonstration, self.reward.model, self.reward.references, rule)

    def _observe(self, episode: EpisodeData) -> ObservedEpisode:
        return observe(episode, self.builder, self._space)

    def _probes(self) -> NDArray[np.float32]:
        rows = np.concatenate([episode.observations for episode, _ in self.learner.taken])
        rows = rows[np.isfinite(rows).all(axis=1)]
        return rows[np.linspace(0, len(rows) - 1, min(PROBES, len(rows))).astype(int)]

    def _health(self) -> dict[str, float]:
        health = self.learner.health()
        if health is None:
            return {}
        names = ("critic_loss", "bc_loss", "q_data", "q_policy", "action_saturation")
        return {name: round(getattr(health, name), 4) for name in names}

    def _make_learner(self) -> Learner:
        settings, encoder = self.settings, self.builder.encoder
        info = PolicyInfo(
            encoder.name,
            encoder.sha256,
            self.builder.layout,
            settings.action.axes,
            settings.action.max_step_m,
            settings.action.max_step_rad,
        )
        return Learner(
            info,
            agent=settings.agent,
            config=settings.learner,
            shaping=settings.shaping,
            transitions=settings.transitions,
            blocks=self.builder.blocks,
            floor=self.builder.floor,
            seed=self.seed,
        )

    def _timed(self, name: str, part: Callable[[], Any]) -> Any:
        start_s = time.perf_counter()
        result = part()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start_s
        return result


def _last_phi(episode: EpisodeData) -> float:
    potential = episode.potentials[-1]
    return float("nan") if potential is None else potential.potential


def _words(scores: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {score['successes']}/{score['episodes']}" for name, score in scores.items()
    )
