"""``dopamine nano``: trains the small embedded reward model with the project's own pipeline."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from dopamine_cli.output import JsonOption, make_output, named_errors

nano = typer.Typer(help="The embedded reward model.", no_args_is_help=True)


@nano.callback()
def group() -> None:
    """Keep `nano train` a sub-command, though there is only one."""


@nano.command()
@named_errors
def train(
    data: Annotated[Path, typer.Option(help="Folder for generated episodes (gigabytes).")] = Path(
        "runs/nano_data"
    ),
    out: Annotated[Path, typer.Option(help="Folder of the new model.")] = Path("runs/nano_model"),
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    episodes: Annotated[int | None, typer.Option(help="Episodes generated per task.")] = None,
    generate_minutes: Annotated[float | None, typer.Option(help="Longest generation.")] = None,
    train_minutes: Annotated[float | None, typer.Option(help="Longest training.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Generating processes; 0: one per core.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed.")] = None,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Train on the episodes that are there.")
    ] = False,
    device: Annotated[str, typer.Option(help="Torch device; default: a GPU if there is one.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Generate episodes of the training tasks, train, validate, export, report."""
    from dopamine_core.config import from_mapping
    from dopamine_core.reward.nano.config import TrainingConfig
    from dopamine_core.reward.nano.train import train_nano

    output = make_output(as_json)
    options: dict[str, Any] = {
        "steps": steps,
        "episodes_per_task": episodes,
        "generate_minutes": generate_minutes,
        "train_minutes": train_minutes,
        "workers": workers,
        "seed": seed,
    }
    config = from_mapping(
        TrainingConfig, {name: value for name, value in options.items() if value is not None}
    )
    with output.bar("nano train") as advance:
        report = train_nano(
            config,
            lambda part, share: advance(share, part),
            data_dir=data,
            out_dir=out,
            reuse_data=reuse,
            device=device,
        )
    figures = dataclasses.asdict(report)
    validation = ", ".join(
        f"{name} {value:.3f}" for name, value in report.validation["all"].items()
    )
    output.event("trained", f"{out}: {report.steps} steps; new scenes: {validation}", **figures)
