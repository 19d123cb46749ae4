"""A point peg over a hole, in numpy: the shifted insertion without physics, rendering or a reward model.

Fast enough to learn in seconds. Observation: smooth mixtures of where hole and peg appear in two imagined cameras
(as frozen features would be), proprioception and a potential. Units: metres; actions in [-1, 1] times 8 mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.rl.transitions import ObservedEpisode
from dopamine_core.types import EpisodeInfo, EpisodeKind, EpisodeState, Outcome

FEATURES = 24  # per camera
STEP_M = 0.008
DEPTH_M = 0.02
CLEARANCE_M = 0.001  # radial
OBSERVATION = 2 * FEATURES + 3 + 3 + 1
FLOOR = np.array([0.01] * 3 + [0.001] * 3 + [0.1], np.float32)


@dataclass
class ToyCell:
    """One cell; ``shift_m`` moves the peg in the gripper, plus 1 mm of noise per episode.

    :param seed: of the feature map, scenes and noise.
    """

    seed: int
    shift_m: tuple[float, float] = (0.0, 0.0)
    phi_noise: float = 0.03
    feature_noise: float = 0.01

    def __post_init__(self) -> None:
        mix = np.random.default_rng(7)  # the encoder is frozen: one map for every seed
        self._maps = [mix.normal(size=(5, FEATURES)) for _ in range(2)]
        self._bias = [mix.normal(size=FEATURES) for _ in range(2)]
        self.rng = np.random.default_rng(self.seed)

    def reset(self) -> NDArray[np.float32]:
        """New scene; returns the first observation (O,)."""
        self.hole = self.rng.uniform(-0.04, 0.04, 2)
        self.offset = np.array(self.shift_m) + self.rng.normal(0.0, 0.0005, 2)
        self.measured = np.array([0.0, 0.0, 0.06]) + self.rng.normal(0, 0.003, 3)
        self.commanded = self.measured.copy()
        self.start = self._distance()
        self.light = self.rng.normal(0.0, 0.02, FEATURES)
        return self.observe()

    @property
    def success(self) -> bool:
        """The peg sits in the hole."""
        return bool(self.measured[2] < -0.8 * DEPTH_M)

    def step(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """Move by one action (3,) in [-1, 1]; the peg slides on the surface or drops into the hole."""
        for _ in range(5):
            self.commanded += np.clip(action, -1, 1) * STEP_M / 5
            self.commanded = np.clip(self.commanded, self.measured - 0.01, self.measured + 0.01)
            self._settle()
        return self.observe()

    def _settle(self) -> None:
        inside = self.measured[2] < -0.001
        miss = self.commanded[:2] + self.offset - self.hole
        if inside:  # the walls hold the peg
            miss = np.clip(miss, -CLEARANCE_M, CLEARANCE_M)
            self.measured[:2] = self.hole - self.offset + miss
            self.measured[2] = np.clip(self.commanded[2], -DEPTH_M, None)
            return
        pressing = self.commanded[2] < 0.0
        drag = 0.5 if pressing else 1.0  # friction on the surface
        self.measured[:2] += drag * (self.commanded[:2] - self.measured[:2])
        over = np.linalg.norm(self.measured[:2] + self.offset - self.hole) < CLEARANCE_M
        self.measured[2] = max(self.commanded[2], -0.004) if over else max(self.commanded[2], 0.0)

    def observe(self) -> NDArray[np.float32]:
        """Raw observation (O,): [front, wrist, position, contact, Phi]."""
        tcp, peg = self.measured, self.measured[:2] + self.offset
        camera = 0.1 + tcp[2]
        front = np.array([*self.hole, *tcp]) / 0.04
        wrist = np.array(
            [*(self.hole - tcp[:2]) / camera * 4, *(peg - tcp[:2]) / 0.04, tcp[2] / 0.04]
        )
        parts = [
            np.tanh(0.5 * (values @ mix + bias + self.light))
            + self.rng.normal(0, self.feature_noise, FEATURES)
            for values, mix, bias in zip((front, wrist), self._maps, self._bias, strict=True)
        ]
        contact = self.commanded - self.measured
        return np.concatenate([*parts, tcp, contact, [self.potential()]]).astype(np.float32)

    def potential(self) -> float:
        """Noisy progress in [0, 1]: what a reward model would say."""
        truth = 1.0 if self.success else 0.9 * (1.0 - min(1.0, self._distance() / self.start))
        return float(np.clip(truth + self.rng.normal(0.0, self.phi_noise), 0.0, 1.0))

    def _distance(self) -> float:
        miss = np.linalg.norm(self.measured[:2] + self.offset - self.hole)
        return float(miss + abs(self.measured[2] + DEPTH_M))

    def expert(self) -> NDArray[np.float32]:
        """An imperfect operator: goes above the hole, then down."""
        miss = self.hole - self.offset - self.measured[:2]
        near = np.linalg.norm(miss) < 0.0012
        down = (
            -0.006
            if near or self.measured[2] < 0
            else np.clip(0.012 - self.measured[2], -0.006, 0.006)
        )
        wanted = np.array([*np.clip(miss, -0.006, 0.006), down]) + self.rng.normal(0, 0.0003, 3)
        return np.clip(wanted / STEP_M, -1, 1).astype(np.float32)


def run_episode(
    cell: ToyCell, act, *, decisions: int = 80, kind: EpisodeKind, name: str
) -> ObservedEpisode:  # type: ignore[no-untyped-def]
    """Play one episode; success is two readings in the goal. ``act`` maps an observation to an action."""
    rows, actions, held = [cell.reset()], [], 0
    while len(rows) < decisions and held < 2:
        action = act(rows[-1])
        actions.append(action)
        rows.append(cell.step(action))
        held = held + 1 if cell.success else 0
    outcome = Outcome.SUCCESS if held >= 2 else Outcome.TIME_LIMIT
    info = EpisodeInfo(name, EpisodeState.CLOSED, kind, "insert", 1, 1, 2, outcome, kept=True)
    padded = np.array([*actions, np.full(3, np.nan)], np.float32)
    return ObservedEpisode(info, np.array(rows, np.float32), padded, "toy")
