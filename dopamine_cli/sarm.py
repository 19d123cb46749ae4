"""``dopamine sarm``: trains the stage-aware reward model of one task from its recorded demonstrations."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from dopamine_cli.output import JsonOption, make_output, named_errors

sarm = typer.Typer(help="The stage-aware reward model of one task.", no_args_is_help=True)


@sarm.callback()
def group() -> None:
    """Keep `sarm train` a sub-command, though there is only one."""


@sarm.command()
@named_errors
def train(
    bags: Annotated[list[Path], typer.Argument(help="Kept demonstrations of one task.")],
    out: Annotated[Path, typer.Option(help="Folder of the model.")] = Path("runs/sarm_model"),
    held_out: Annotated[
        list[Path] | None, typer.Option(help="A demonstration for the report only; repeat for more.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    time_budget: Annotated[float, typer.Option(help="Longest training, in seconds.")] = 600.0,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Train on demonstrations with keyframes; load the folder as the reward model `sarm`."""
    from dopamine_core.config import from_mapping
    from dopamine_core.episodes.dataset import load_demonstration
    from dopamine_core.reward.sarm.train import train as train_sarm
    from dopamine_core.reward.sarm.trainer import SarmConfig

    output = make_output(as_json)
    config = from_mapping(SarmConfig, {} if steps is None else {"steps": steps})
    with output.bar("sarm train") as advance:
        report = train_sarm(
            [load_demonstration(bag) for bag in bags],
            out,
            held_out=[load_demonstration(bag) for bag in held_out or []],
            time_budget_s=time_budget,
            seed=seed,
            on_progress=lambda *, phase, fraction, loss, held_out_error: advance(fraction, phase),
            config=config,
        )
    seen = f"{report.held_out} held-out demonstrations" if report.held_out else "what it learned from"
    text = (
        f"{out}: {report.stages} stages, {report.steps} steps; on {seen}: VOC {report.voc:.3f}, "
        f"RMSE {report.rmse:.3f}, stages right {report.stage_accuracy:.0%}; "
        f"success from probability {report.success_threshold:.2f}"
    )
    output.event("trained", text, model_path=str(out), **dataclasses.asdict(report))
