"""Every number of a training run, each with unit, range and sentence."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import yaml

from dopamine_core.config import check, from_mapping, load_yaml, setting
from dopamine_core.errors import ConfigError

ANSWER, EXPECTED_HOP = "answer", "expected_hop"
FULL, LORA = "full", "lora"
NONE = "none"
AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained. Rates and schedule are the official trainer's, weight decay is the paper's."""

    loss: str = setting(
        ANSWER,
        doc="answer: cross-entropy of the written score; expected_hop: squared error (Eq. 12).",
        choices=(ANSWER, EXPECTED_HOP),
    )
    label_weight: float = setting(
        0.02,
        doc="expected_hop: weight of -log P(the label's own score); Eq. 12 has none.",
        low=0.0,
        high=10.0,
    )
    adapt: str = setting(
        FULL, doc="full: all weights of a part; lora: adapters beside them.", choices=(FULL, LORA)
    )
    language_rate: float = setting(1e-5, doc="Learning rate; 0 freezes.", low=0.0, high=1.0)
    merger_rate: float = setting(1e-5, doc="Of the projector from images.", low=0.0, high=1.0)
    vision_rate: float = setting(5e-7, doc="Of the vision tower.", low=0.0, high=1.0)
    lora_rank: int = setting(16, doc="Rank of the adapters.", low=1, high=1024)
    lora_alpha: float = setting(32.0, doc="Scale of the adapters, over rank.", low=0.0, high=4096.0)
    weight_decay: float = setting(0.1, doc="AdamW, matrices only.", low=0.0, high=1.0)
    warm_up_share: float = setting(0.03, doc="Share of steps with rising rate.", low=0.0, high=1.0)
    clip_norm: float = setting(1.0, doc="Largest norm of a gradient.", low=1e-6, high=1e6)
    epochs: float = setting(2.0, doc="Times that every item is seen.", low=1e-6, high=1e4)
    steps: int = setting(0, doc="Optimiser steps; 0: as the epochs need.", low=0, high=10**8)
    batch: int = setting(32, doc="Items per step, over all processes.", low=1, high=10**6)
    micro_batch: int = setting(2, doc="Items at once in one process.", low=1, high=10**4)
    precision: str = setting(
        AUTO,
        doc="What is computed in, weights staying float32; auto: bfloat16 on a GPU, else float32.",
        choices=(AUTO, FLOAT32, BFLOAT16),
    )
    recompute: bool = setting(True, doc="Compute activations twice instead of keeping them.")
    shard: str = setting(
        NONE,
        doc="none: every process holds the model; full: they share weights and optimiser (FSDP).",
        choices=(NONE, FULL),
    )
    min_pixels: int = setting(12544, doc="Smallest image shown.", unit="px", low=784, high=10**7)
    max_pixels: int = setting(76800, doc="Largest image shown.", unit="px", low=784, high=10**8)
    workers: int = setting(2, doc="Loading processes beside each; 0: none.", low=0, high=256)
    save_every: int = setting(200, doc="Steps between checkpoints.", low=1, high=10**8)
    keep: int = setting(2, doc="Checkpoints that stay.", low=1, high=1000)
    timeout_s: float = setting(
        600.0, doc="Longest wait for another process.", unit="s", low=1.0, high=86400.0
    )
    seed: int = setting(0, doc="Order of items, adapters' start.", low=0, high=2**31)

    def __post_init__(self) -> None:
        check(self)
        if not any(self.rates().values()):
            raise ConfigError(
                expected="a learning rate above 0",
                got="language_rate, merger_rate and vision_rate 0",
                remedy="set one",
            )

    def rates(self) -> dict[str, float]:
        """Learning rate of each part."""
        return {"language": self.language_rate, "merger": self.merger_rate, "vision": self.vision_rate}

    def lasting(self) -> dict[str, object]:
        """What must stay for a run to be continued; the others may change on the way."""
        free = ("workers", "save_every", "keep", "timeout_s", "shard", "micro_batch", "recompute")
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in free}


def read_settings(path: Path | None, assignments: list[str]) -> TrainingSettings:
    """Read settings from a YAML file, single ones from ``name=value``; the latter win.

    :raises ConfigError: on unknown names and bad values.
    """
    values = load_yaml(path) if path else {}
    for assignment in assignments:
        name, found, text = assignment.partition("=")
        if not found:
            raise ConfigError(
                expected="a setting as name=value",
                got=repr(assignment),
                remedy=f"known names: {', '.join(f.name for f in dataclasses.fields(TrainingSettings))}",
            )
        values[name.strip()] = _value(text)
    return from_mapping(TrainingSettings, values)


def _value(text: str) -> object:
    """Read a value as YAML does, and numbers such as 1e-5, which YAML takes for text."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(expected="a value", got=repr(text), remedy="write it as in YAML") from error
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value
