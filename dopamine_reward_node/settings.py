"""Parameters of the reward node that belong to no part of the core."""

from __future__ import annotations

from dataclasses import dataclass

from dopamine_core.config import check, setting


@dataclass(frozen=True)
class RewardNodeConfig:
    """Model, lanes and what is drawn."""

    model_name: str = setting("nano", doc="Registered name of the reward model.")
    model_path: str = setting(
        "",
        doc="Where the model is: weights or adaptation folder, hub id, address of a server, or a .yaml file of the "
        "back end's settings; empty: its default.",
    )
    inference_timeout_s: float = setting(
        60.0,
        doc="Longest time that one inference may take; then it is reported, and decisions are answered without the "
        "model until it is free again.",
        unit="s",
        low=0.05,
        high=3600.0,
    )
    front_transport: str = setting(
        "raw", doc="How the front camera publishes.", choices=("raw", "compressed")
    )
    wrist_transport: str = setting(
        "raw", doc="How the wrist camera publishes.", choices=("raw", "compressed")
    )
    monitor_rate_hz: float = setting(
        10.0,
        doc="Monitor-lane readings per second at most; 0: all.",
        unit="Hz",
        low=0.0,
        high=120.0,
    )
    buffer_s: float = setting(
        5.0, doc="How long frames wait for a decision that names them.", unit="s", low=0.5, high=120.0
    )
    annotated_rate_hz: float = setting(
        5.0, doc="Annotated images per second while subscribed.", unit="Hz", low=0.1, high=30.0
    )
    realtime_priority: int = setting(
        4,
        doc="Real-time priority of the process, where the system permits it; 0: none. Give 0 to a "
        "model that computes for seconds on the CPU.",
        low=0,
        high=99,
    )
    marker_frame: str = setting("base_link", doc="Frame of the progress marker.")
    marker_position: tuple[float, ...] = setting(
        (0.45, 0.0, 0.6), doc="Where the progress marker stands.", unit="m", low=-10.0, high=10.0
    )

    def __post_init__(self) -> None:
        check(self)
