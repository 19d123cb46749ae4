"""Numbers of the demo node, each declared once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dopamine_core.config import check, setting
from dopamine_core.errors import ConfigError
from dopamine_core.reward.adaptable import ADAPTABLE


@dataclass(frozen=True)
class DemoNodeConfig:
    """Episodes: where they go, how they begin and what ends them."""

    directory: str = setting(
        "runs/default", doc="Run folder: bags in episodes/, adapted models in models/."
    )
    task: str = setting(
        "insert the peg into the hole", doc="Task of a demonstration that a button starts."
    )
    decision_period_s: float = setting(
        0.1, doc="Period of decisions while a person drives.", unit="s", low=0.02, high=2.0
    )
    time_limit_s: float = setting(
        20.0, doc="Limit of a practice episode that names none.", unit="s", low=0.5, high=3600.0
    )
    frame_max_age_s: float = setting(
        0.5, doc="No decision on older frames or joints.", unit="s", low=0.02, high=10.0
    )
    camera_loss_s: float = setting(
        2.0, doc="An episode ends when its newest frames are older.", unit="s", low=0.1, high=60.0
    )
    joint_loss_s: float = setting(
        2.0,
        doc="An episode ends when its newest joint states are older.",
        unit="s",
        low=0.1,
        high=60.0,
    )
    watch_period_s: float = setting(
        0.05, doc="How often time limit and losses are looked at.", unit="s", low=0.01, high=1.0
    )
    policy_wait_s: float = setting(
        60.0, doc="Longest wait of practice for a policy.", unit="s", low=0.0, high=3600.0
    )
    sensor_wait_s: float = setting(
        10.0, doc="Longest wait of practice for cameras and joints.", unit="s", low=0.0, high=600.0
    )
    max_goals: int = setting(
        3, doc="Goal images given to the reward model, of so many demonstrations.", low=1, high=16
    )
    set_task: bool = setting(
        True, doc="Whether kept demonstrations give the reward node its task, start and goals."
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ResetSettings:
    """The way home and the scene."""

    home_low_m: tuple[float, ...] = setting(
        (0.42, -0.03, 0.15), doc="Home of the tool: lower corner, x y z in base_link.", unit="m"
    )
    home_high_m: tuple[float, ...] = setting(
        (0.48, 0.03, 0.18),
        doc="Home of the tool: upper corner; a place between is drawn.",
        unit="m",
    )
    home_seed_rad: tuple[float, ...] = setting(
        (0.0, 0.45, 1.8, 0.0, 0.9, 0.0),
        doc="Joint positions near home: where inverse kinematics starts.",
        unit="rad",
    )
    home_gripper: float = setting(
        math.nan,
        doc="Gripper level at home, 0 open ... 1 closed; NaN leaves it as it is. Belongs to the task.",
    )
    retract_m: float = setting(
        0.05, doc="How far the tool first rises.", unit="m", low=0.0, high=0.5
    )
    tolerance_rad: float = setting(
        0.03, doc="Measured joints this near have arrived.", unit="rad", low=1e-4, high=0.5
    )
    motion_timeout_s: float = setting(20.0, doc="Longest way home.", unit="s", low=0.5, high=600.0)
    attempts: int = setting(
        3, doc="How often the way home is asked for when the arm is stopped on it.", low=1, high=20
    )
    scene: str = setting(
        "auto",
        doc="Who restores the scene; auto: the service scene/reset when it is there, else operator.",
        choices=("auto", "service", "operator"),
    )
    scene_timeout_s: float = setting(
        10.0, doc="Longest answer of the service scene/reset.", unit="s", low=0.1, high=600.0
    )
    confirm_timeout_s: float = setting(
        120.0, doc="Longest wait for the operator's 'scene restored'.", unit="s", low=1.0
    )
    settle_s: float = setting(
        0.3, doc="Rest after a reset, so that cameras see the new scene.", unit="s", low=0.0
    )

    def __post_init__(self) -> None:
        check(self)
        low, high = self.home_low_m, self.home_high_m
        ordered = len(low) == len(high) == 3 and all(a <= b for a, b in zip(low, high, strict=True))
        if not ordered:
            raise ConfigError(
                expected="home_low_m <= home_high_m, three numbers each",
                got=f"{low} and {high}",
                remedy="correct the home box",
            )


@dataclass(frozen=True)
class AdaptSettings:
    """One-shot adaptation of the reward model."""

    model_name: str = setting("nano", doc="Back end that is adapted.", choices=ADAPTABLE)
    base_path: str = setting(
        "",
        doc="Weights it starts from: folder, hub id, or .yaml file of the back end's settings; empty: its own.",
    )
    settings_path: str = setting(
        "", doc="The adaptation's settings, a .yaml file; empty: the defaults."
    )
    time_budget_s: float = setting(
        90.0, doc="Time for an adaptation that names none.", unit="s", low=5.0, high=86400.0
    )
    grace_s: float = setting(
        60.0, doc="Killed this long after its time is up.", unit="s", low=1.0, high=3600.0
    )
    niceness: int = setting(
        10, doc="Priority of its process; higher yields to the control path.", low=0, high=19
    )
    swap_wait_s: float = setting(
        60.0, doc="Longest wait for an episode to end before the swap.", unit="s", low=0.0
    )
    load_wait_s: float = setting(
        30.0,
        doc="Longest wait for the reward node to load the adapted model.",
        unit="s",
        low=1.0,
        high=3600.0,
    )

    def __post_init__(self) -> None:
        check(self)
