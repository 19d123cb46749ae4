"""Numbers of the cell that a user may change."""

from __future__ import annotations

from dataclasses import dataclass

from dopamine_core.config import check, setting


@dataclass(frozen=True)
class CellConfig:
    """Physics, control and look of the cell."""

    physics_step_ns: int = setting(2_000_000, doc="physics step", unit="ns", low=500_000, high=5_000_000)
    control_period_ns: int = setting(
        10_000_000, doc="period of the trajectory controller", unit="ns", low=1_000_000, high=50_000_000
    )
    max_image_width: int = setting(640, doc="largest image width", unit="px", low=16, high=1920)
    max_image_height: int = setting(480, doc="largest image height", unit="px", low=16, high=1080)
    look: float = setting(
        1.0, doc="strength of the randomised colours, light, camera pose and background", low=0.0, high=1.0
    )
    look_seed: int = setting(
        -1, doc="seed of one room (look, colours of things) for all scenes; -1: a new room with every scene", low=-1
    )
    distractors: int = setting(3, doc="largest number of bystanding objects", low=0, high=4)

    def __post_init__(self) -> None:
        check(self)
