"""Settings of ``dopamine nano train``; the defaults are those of the shipped weights, made on a CPU."""

from __future__ import annotations

from dataclasses import dataclass

from dopamine_core.config import check, setting


@dataclass(frozen=True)
class TrainingConfig:
    """How much is generated, how batches are made and how long is trained."""

    tasks: tuple[str, ...] = setting((), doc="Tasks to train on; empty: the cell's training tasks.")
    episodes_per_task: int = setting(300, doc="Episodes generated per task.", low=4, high=100_000)
    generate_minutes: float = setting(
        30.0,
        doc="Generation ends after this time with what it has.",
        unit="min",
        low=0.01,
        high=1e4,
    )
    workers: int = setting(0, doc="Generating processes; 0: one per core.", low=0, high=1024)
    steps: int = setting(6000, doc="Optimiser steps.", low=1, high=10_000_000)
    train_minutes: float = setting(
        36.0,
        doc="The schedule is shortened after its first steps when it would take longer than this.",
        unit="min",
        low=0.01,
        high=1e4,
    )
    episodes_per_step: int = setting(6, doc="Episodes in a batch.", low=2, high=1024)
    moments: int = setting(
        3, doc="Moments per episode in a batch, each with a near neighbour.", low=2, high=64
    )
    pairs_per_step: int = setting(
        110, doc="Balanced pairs in a batch, beside the anchored ones.", low=4, high=100_000
    )
    zero_share: float = setting(0.05, doc="Zero-hop pairs (alpha of the paper).", low=0.0, high=0.5)
    sibling_share: float = setting(
        0.75, doc="How often an expert's references come from another episode.", low=0.0, high=1.0
    )
    expert_share: float = setting(
        0.45, doc="Experts among a batch's episodes.", low=0.05, high=0.95
    )
    wrist_dropout: float = setting(
        0.4,
        doc="Queries whose wrist views are missing, all of them or the references'.",
        low=0.0,
        high=1.0,
    )
    front_dropout: float = setting(0.1, doc="Queries without front views.", low=0.0, high=1.0)
    start_dropout: float = setting(
        0.15, doc="Queries without the start reference.", low=0.0, high=1.0
    )
    learning_rate: float = setting(2e-3, doc="Peak of the cosine schedule.", low=1e-6, high=1.0)
    weight_decay: float = setting(0.05, doc="AdamW weight decay.", low=0.0, high=1.0)
    warm_up: float = setting(
        0.03, doc="Share of the steps in which the rate rises.", low=0.0, high=0.5
    )
    phi_weight: float = setting(0.5, doc="Weight of the squared error of phi.", low=0.0, high=100.0)
    geometry_weight: float = setting(
        1.0, doc="Weight of the geometry readout's error.", low=0.0, high=100.0
    )
    ema: float = setting(
        0.998, doc="Decay of the averaged weights that are shipped.", low=0.0, high=0.99999
    )
    seed: int = setting(1, doc="Seed of scenes, batches and initial weights.", low=0, high=2**31)

    def __post_init__(self) -> None:
        check(self)
