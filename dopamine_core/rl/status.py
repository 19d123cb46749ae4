"""What the learner says about itself; without torch, so that anybody may read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Phase(IntEnum):
    """What the learner does; values equal ``dopamine_msgs/LearnerStatus``."""

    IDLE = 0
    WAITING = 1
    LOADING = 2
    OFFLINE = 3
    ONLINE = 4
    FAILED = 5


@dataclass(frozen=True)
class Counts:
    """What the learner has been given."""

    offline_episodes: int = 0
    online_episodes: int = 0
    offline_transitions: int = 0
    online_transitions: int = 0
    dropped: int = 0  # transitions that were not whole
    out_of_range: int = 0  # executed actions outside [-1, 1]


@dataclass(frozen=True)
class Health:
    """Health panel: means over the last updates, and warnings in words."""

    critic_loss: float
    actor_loss: float
    conservative_loss: float
    bc_loss: float
    q_data: float  # mean Q on batch actions
    q_policy: float  # mean Q on policy actions
    bound_rate: float  # share of policy actions whose Q lies below the Monte-Carlo bound
    action_saturation: float  # share of |a| > 0.95
    warnings: tuple[str, ...] = ()


PANEL = tuple(name for name in Health.__dataclass_fields__ if name != "warnings")


@dataclass(frozen=True)
class LearnerState:
    """What the status topic says; one value is replaced by the next, so reading needs no lock."""

    phase: Phase = Phase.IDLE
    waiting_for: str = "demonstrations: call train with at least one recorded demonstration"
    counts: Counts = field(default_factory=Counts)
    gradient_steps: int = 0
    gradient_steps_target: int = 0  # of the present phase; 0 when open-ended
    policy_version: int = 0
    updates_per_second: float = 0.0
    health: Health | None = None
    checkpoint: str = ""
