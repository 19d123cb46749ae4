"""A small learner on the toy cell, shared by the tests of learner, policy and checkpoint."""

from __future__ import annotations

from dopamine_core.reward.shaping import ShapingConfig
from dopamine_core.rl.calql import AgentConfig
from dopamine_core.rl.learner import Learner, LearnerConfig
from dopamine_core.rl.policy import PolicyInfo
from dopamine_core.rl.transitions import ObservedEpisode, TransitionConfig
from dopamine_core.types import EpisodeKind
from tests.core.rl.toy_cell import FEATURES, FLOOR, STEP_M, ToyCell, run_episode

INFO = PolicyInfo("toy", "ab" * 32, "toy", ("x", "y", "z"), STEP_M, 0.1)


def small_learner(seed: int = 0, **settings: object) -> Learner:
    """A learner with 32-unit networks; ``settings`` go to LearnerConfig."""
    return Learner(
        INFO,
        agent=AgentConfig(hidden=(32, 32), action_samples=2),
        config=LearnerConfig(**{"batch_size": 64, "components": 0, **settings}),  # type: ignore[arg-type]
        shaping=ShapingConfig(),
        transitions=TransitionConfig(),
        blocks=(FEATURES, FEATURES),
        floor=FLOOR,
        seed=seed,
    )


def demonstrations(count: int = 4, seed: int = 0) -> list[ObservedEpisode]:
    """Episodes of the toy's operator."""
    cell = ToyCell(seed)
    return [
        run_episode(cell, lambda _: cell.expert(), kind=EpisodeKind.DEMONSTRATION, name=f"demo-{i}")
        for i in range(count)
    ]


def practice(count: int = 1, seed: int = 9) -> list[ObservedEpisode]:
    """Episodes of a wandering policy."""
    cell = ToyCell(seed)
    return [
        run_episode(
            cell,
            lambda _: cell.rng.uniform(-1, 1, 3).astype("float32"),
            decisions=20,
            kind=EpisodeKind.ROLLOUT,
            name=f"roll-{i}",
        )
        for i in range(count)
    ]
