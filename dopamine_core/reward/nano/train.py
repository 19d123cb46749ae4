"""The whole way from tasks to shipped weights: generate, train, validate, export, report.

``dopamine nano train`` and ``python -m dopamine_core.reward.nano.train`` both end here.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import platform
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dopamine_core.config import info_of
from dopamine_core.errors import DemonstrationError
from dopamine_core.reward.models.nano import SHIPPED
from dopamine_core.reward.nano.config import TrainingConfig
from dopamine_core.reward.nano.evaluate import (
    EncodedFrames,
    choose_threshold,
    encode_frames,
    figures,
    score_store,
)
from dopamine_core.reward.nano.export import export_model, sha256_of
from dopamine_core.reward.nano.generate import generate, plan_jobs
from dopamine_core.reward.nano.model import NanoShape
from dopamine_core.reward.nano.probe import probe
from dopamine_core.reward.nano.rehearsal import Rehearsal, save_rehearsal
from dopamine_core.reward.nano.store import EpisodeStore, open_store
from dopamine_core.reward.nano.trainer import Curve, OnProgress, Trainer

_VALIDATION_SHARE = 0.06
_REHEARSED = 6  # episodes per task
_REHEARSED_MOMENTS = 10


@dataclass(frozen=True)
class TrainingReport:
    """What was trained, on what, how well; written as ``training.json``."""

    config: dict[str, Any]
    machine: dict[str, str]
    episodes: dict[str, dict[str, int]]  # task -> mode -> count
    frames: int
    generate_s: float
    train_s: float
    steps: int
    curve: dict[str, list[float]]
    validation: dict[str, dict[str, float]]  # task -> figure, on scenes not trained on
    readout: dict[str, dict[str, float]]  # task -> linear readout of the first two places' offset
    success_threshold: float
    hashes: dict[str, str]


def train_nano(
    config: TrainingConfig,
    on_progress: OnProgress | None = None,
    *,
    data_dir: Path,
    out_dir: Path | None = None,
    reuse_data: bool = False,
    device: str = "",
    plot: bool = True,
) -> TrainingReport:
    """Train a nano GRM and write its folder.

    :param config: settings.
    :param on_progress: called with the part's name and the share of it that is done.
    :param data_dir: where generated episodes go (tens of gigabytes for a full run).
    :param out_dir: model folder; the shipped weights' own when left out.
    :param reuse_data: train on what ``data_dir`` holds.
    :param device: torch device; a GPU when there is one.
    :param plot: draw the losses too (needs matplotlib).
    :raises DemonstrationError: when a task has too few expert episodes.
    """
    out_dir = out_dir or SHIPPED
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    shape, began = NanoShape(), time.monotonic()
    if not reuse_data:
        jobs = plan_jobs(
            _tasks(config), config.episodes_per_task, (shape.width, shape.height), config.seed
        )
        minutes, workers = config.generate_minutes, config.workers
        generate(jobs, data_dir, workers=workers, minutes=minutes, on_progress=on_progress)
    generate_s = time.monotonic() - began
    store = open_store(data_dir)
    validation = validation_episodes(store)
    trainer = Trainer(without(store, validation), config, shape, chosen)
    curve = trainer.run(on_progress)
    return _finish(config, store, validation, trainer, curve, generate_s, out_dir, plot)


def _tasks(config: TrainingConfig) -> tuple[str, ...]:
    from dopamine_sim.tasks.registry import TRAINING_TASKS

    return config.tasks or TRAINING_TASKS


def validation_episodes(store: EpisodeStore) -> list[int]:
    """Every task's last episodes: at least four, two of them experts."""
    chosen: list[int] = []
    for task in range(len(store.tasks)):
        for expert in (True, False):
            own = np.flatnonzero((store.task == task) & (store.expert == expert))
            count = max(2, round(_VALIDATION_SHARE * len(own)))
            if len(own) >= count + 2:
                chosen += own[-count:].tolist()
    return chosen


def without(store: EpisodeStore, episodes: list[int]) -> EpisodeStore:
    """The store with some episodes left out of the index; their frames stay where they are."""
    kept = np.setdiff1d(np.arange(len(store)), episodes)
    if not len(kept):
        raise DemonstrationError(
            expected="more episodes", got=str(len(store)), remedy="generate more per task"
        )
    picked = {
        name: tuple(getattr(store, name)[i] for i in kept)
        for name in ("modes", "seeds", "keyframes")
    }
    arrays = {name: getattr(store, name)[kept] for name in ("start", "length", "task", "expert")}
    return dataclasses.replace(store, **arrays, **picked)


def _finish(
    config: TrainingConfig,
    store: EpisodeStore,
    validation: list[int],
    trainer: Trainer,
    curve: Curve,
    generate_s: float,
    out_dir: Path,
    plot: bool,
) -> TrainingReport:
    net, device = trainer.average.eval(), trainer.device
    _made(out_dir)
    torch.save({"net": net.state_dict(), "tasks": store.tasks}, out_dir / "checkpoint.pt")
    save_rehearsal(make_rehearsal(trainer, store, config.seed), out_dir)
    scored = score_store(net, store, validation, device)
    names = {s.task for s in scored}
    table = {name: figures([s for s in scored if s.task == name]) for name in sorted(names)}
    table["all"] = figures(scored)
    threshold = choose_threshold(scored)
    readout = {
        store.tasks[t]: _readout(trainer, store, validation, t) for t in range(len(store.tasks))
    }
    net.cpu()
    export_model(
        net.encoder, net.head, out_dir, success_threshold=threshold, adapted=False, base_sha256=""
    )
    hashes = {
        name: sha256_of(out_dir / name) for name in ("encoder.onnx", "head.onnx", "rehearsal.npz")
    }
    report = TrainingReport(
        config=dataclasses.asdict(config),
        machine=_machine(device),
        episodes=_counts(store),
        frames=int(store.length.sum()),
        generate_s=generate_s,
        train_s=curve.seconds,
        steps=curve.total_steps,
        curve={"step": [float(s) for s in curve.steps], **curve.losses},
        validation=table,
        readout=readout,
        success_threshold=threshold,
        hashes=hashes,
    )
    write_report(report, out_dir)
    if plot:
        plot_curve(report, out_dir)
    return report


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _readout(
    trainer: Trainer, store: EpisodeStore, held_out: list[int], task: int
) -> dict[str, float]:
    """Fit a linear readout of the offset between the task's first place and the tool; measure it on new scenes."""
    own = np.flatnonzero(store.task == task)
    train = [int(e) for e in own if e not in set(held_out)][:60]
    test = [int(e) for e in own if e in set(held_out)]
    if not train or not test:
        return {}
    sides = []
    for episodes in (train, test):
        spans = [store.span(e) for e in episodes]
        frames = np.concatenate([store.frames[span] for span in spans])
        encoded = encode_frames(trainer.average, frames, trainer.device)
        features = encoded.features.flatten(1).double().cpu().numpy()
        target = np.concatenate([store.geometry[span] for span in spans])[:, 3:6].astype(np.float64)
        sides.append((features, target))
    result = probe(*sides)
    keys = ("x", "y", "z")
    return {
        **{f"r2_{k}": float(v) for k, v in zip(keys, result.r2, strict=True)},
        **{f"error_mm_{k}": float(v) for k, v in zip(keys, result.error_mm, strict=True)},
    }


def make_rehearsal(trainer: Trainer, store: EpisodeStore, seed: int) -> Rehearsal:
    """Encode some moments of some episodes of every task, experts and others by turns."""
    rng = np.random.default_rng(seed)
    rows: list[int] = []
    episode, start, goal = [], [], []
    for task in range(len(store.tasks)):
        experts = np.flatnonzero((store.task == task) & store.expert)
        others = np.flatnonzero((store.task == task) & ~store.expert)
        chosen = [
            *rng.permutation(experts)[: _REHEARSED // 2],
            *rng.permutation(others)[: _REHEARSED // 2],
        ]
        for e in chosen:
            sibling = store.span(int(rng.choice(experts[experts != e])))
            span = store.span(int(e))
            times = np.linspace(span.start, span.stop - 1, _REHEARSED_MOMENTS).round().astype(int)
            first = len(rows)
            rows += [sibling.start, sibling.stop - 1, *times.tolist()]
            count = 2 + len(times)
            episode += [len(set(episode))] * count
            start += [first] * count
            goal += [first + 1] * count
    encoded: EncodedFrames = encode_frames(
        trainer.average, np.stack([store.frames[i] for i in rows]), trainer.device
    )
    return Rehearsal(
        maps=encoded.maps.float().cpu().numpy(),
        features=encoded.features.float().cpu().numpy(),
        phi=store.label[rows].astype(np.float32),
        episode=np.array(episode, np.int64),
        start=np.array(start, np.int64),
        goal=np.array(goal, np.int64),
    )


def _counts(store: EpisodeStore) -> dict[str, dict[str, int]]:
    modes = np.array(store.modes)
    return {
        name: dict(Counter(modes[store.task == t].tolist())) for t, name in enumerate(store.tasks)
    }


def _machine(device: torch.device) -> dict[str, str]:
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else "none"
    return {
        "platform": platform.platform(),
        "cores": str(os.cpu_count()),
        "accelerator": accelerator,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def write_report(report: TrainingReport, folder: Path) -> None:
    """Write ``training.json`` beside the weights."""
    content = json.dumps(_finite(dataclasses.asdict(report)), indent=1, sort_keys=True)
    (folder / "training.json").write_text(content + "\n", encoding="utf-8")


def plot_curve(report: TrainingReport, folder: Path) -> None:
    """Draw the losses as ``training.png``."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name, values in report.curve.items():
        if name != "step":
            axes.semilogy(report.curve["step"], values, label=name, linewidth=0.8)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.legend()
    figure.tight_layout()
    figure.savefig(folder / "training.png", dpi=110)
    pyplot.close(figure)


def _finite(value: Any) -> Any:
    """JSON has no NaN: a figure that does not exist is null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(arguments: list[str] | None = None) -> None:
    """Command line: every setting of ``TrainingConfig`` is an option."""
    parser = argparse.ArgumentParser(prog="nano.train", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of generated episodes")
    parser.add_argument("--out", type=Path, help="model folder (default: the shipped weights')")
    parser.add_argument("--reuse-data", action="store_true", help="train on what --data holds")
    parser.add_argument("--device", default="", help="torch device")
    parser.add_argument("--no-plot", action="store_true", help="do without matplotlib")
    for field in dataclasses.fields(TrainingConfig):
        option = "--" + field.name.replace("_", "-")
        kind = str if field.name == "tasks" else type(field.default)
        parser.add_argument(option, type=kind, help=info_of(field).doc.replace("%", "%%"))
    given = vars(parser.parse_args(arguments))
    places = {name: given.pop(name) for name in ("data", "out", "reuse_data", "device", "no_plot")}
    values = {name: value for name, value in given.items() if value is not None}
    if "tasks" in values:
        values["tasks"] = tuple(values["tasks"].split(","))
    report = train_nano(
        TrainingConfig(**values),
        _Printer(),
        data_dir=places["data"],
        out_dir=places["out"],
        reuse_data=places["reuse_data"],
        device=places["device"],
        plot=not places["no_plot"],
    )
    print(
        json.dumps(_finite({"validation": report.validation, "readout": report.readout}), indent=1)
    )


class _Printer:
    """One line per twentieth of a part."""

    def __init__(self) -> None:
        self._last: tuple[str, int] = ("", -1)
        self._began = time.monotonic()

    def __call__(self, part: str, share: float) -> None:
        mark = (part, int(share * 20))
        if mark != self._last:
            self._last = mark
            print(
                f"{time.monotonic() - self._began:7.1f} s {part} {share:.0%}",
                file=sys.stderr,
                flush=True,
            )


if __name__ == "__main__":
    main()
