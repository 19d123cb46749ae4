"""Every number of an adaptation, each with unit, range and sentence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dopamine_core.config import from_mapping, load_yaml, setting
from dopamine_core.errors import ConfigError
from dopamine_core.reward.grm.training.pairs import PairConfig

EXPECTED_HOP, ANSWER = "expected_hop", "answer"
ATTENTION, MLP, PROJECTOR, VISION = "attention", "mlp", "projector", "vision"
TARGETS = (ATTENTION, MLP, PROJECTOR, VISION)


@dataclass(frozen=True)
class AdaptConfig(PairConfig):
    """How a GRM is adapted to one demonstration. The paper gives neither rate nor steps; these are ours."""

    loss: str = setting(
        EXPECTED_HOP,
        doc="expected_hop: squared error (Eq. 12); answer: cross-entropy of the written score.",
        choices=(EXPECTED_HOP, ANSWER),
    )
    label_weight: float = setting(
        0.02,
        doc="expected_hop: weight of -log P(the label's own score); Eq. 12 has none.",
        low=0.0,
        high=10.0,
    )
    targets: tuple[str, ...] = setting(
        (ATTENTION, MLP, PROJECTOR),
        doc="Linear layers that get adapters: attention and mlp of the language model, projector, vision tower.",
    )
    lora_rank: int = setting(16, doc="Rank of the adapters.", low=1, high=1024)
    lora_alpha: int = setting(32, doc="Scale of the adapters, over rank.", low=1, high=4096)
    lora_dropout: float = setting(0.05, doc="Dropout before the adapters.", low=0.0, high=0.9)
    learning_rate: float = setting(1e-4, doc="Peak rate.", low=1e-8, high=1.0)
    weight_decay: float = setting(0.01, doc="AdamW weight decay.", low=0.0, high=1.0)
    warm_up_share: float = setting(0.05, doc="Share of steps with rising rate.", low=0.0, high=1.0)
    clip_norm: float = setting(1.0, doc="Largest norm of a gradient.", low=1e-6, high=1e6)
    steps: int = setting(120, doc="Most optimiser steps.", low=1, high=1_000_000)
    batch: int = setting(16, doc="Pairs per step.", low=1, high=4096)
    micro_batch: int = setting(2, doc="Pairs at once on the device.", low=1, high=1024)
    recompute: bool = setting(True, doc="Compute activations twice instead of keeping them.")
    check_every: int = setting(
        20, doc="Steps between looks at the held-out pairs.", low=1, high=100_000
    )
    patience: int = setting(3, doc="Looks without gain after which it ends.", low=1, high=1000)
    save_every: int = setting(
        20, doc="Steps between states on disk that a broken run resumes from.", low=1, high=100_000
    )
    shown_frames: int = setting(
        40, doc="Frames of a demonstration that calibration and report look at.", low=8, high=10_000
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = sorted(set(self.targets) - set(TARGETS))
        if unknown or not self.targets:
            raise ConfigError(
                expected=f"targets among {', '.join(TARGETS)}, at least one",
                got=", ".join(unknown) or "none",
                remedy="correct 'targets'",
            )


def read_adapt_config(path: Path | str) -> AdaptConfig:
    """Read settings from a YAML file.

    :param path: empty: the defaults.
    :raises ConfigError: when the file cannot be read, or a setting is unknown or out of range.
    """
    return from_mapping(AdaptConfig, load_yaml(Path(path))) if str(path) else AdaptConfig()
