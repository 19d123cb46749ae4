"""``dopamine grm``: episodes in, hop data and a General Reward Model trained on them out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dopamine_cli.output import JsonOption, Output, make_output, named_errors
from dopamine_core.config import from_mapping
from dopamine_core.errors import ConfigError

if TYPE_CHECKING:
    from dopamine_core.reward.grm.prompt import GrmPrompt
    from dopamine_core.reward.grm.training_at_scale.hop_data import LeftOut

grm = typer.Typer(help="The General Reward Model: data and training.", no_args_is_help=True)

PromptOption = Annotated[
    Path | None,
    typer.Option(help="The official examples/inference.py or prompt text; default: our own prompt."),
]
AnyPromptOption = Annotated[
    bool, typer.Option("--any-prompt", help="The prompt file need not hold the official text.")
]


@grm.command()
@named_errors
def data(
    episodes: Annotated[
        list[Path], typer.Argument(help="MCAP recordings, official episode folders, or folders of them.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the data; continued when it is there.")],
    folders: Annotated[
        bool, typer.Option("--folders", help="Write official episode folders of recordings instead.")
    ] = False,
    pairs: Annotated[int | None, typer.Option(help="Pairs per episode.")] = None,
    zero_share: Annotated[float | None, typer.Option(help="Share without progress.")] = None,
    chunk: Annotated[int | None, typer.Option(help="Frames per state (C of Eq. 1).")] = None,
    rounding: Annotated[str | None, typer.Option(help="floor (Eq. 1) or official.")] = None,
    balance: Annotated[str | None, typer.Option(help="cells or official.")] = None,
    swap_probability: Annotated[
        float | None, typer.Option(help="How often references show another episode of the task.")
    ] = None,
    view_dropout: Annotated[
        float | None, typer.Option(help="How often an item shows the front camera alone.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed.")] = None,
    prompt_file: PromptOption = None,
    any_prompt: AnyPromptOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make hop data: frames, and questions with labels in the official trainer's format."""
    from dopamine_core.reward.grm.training_at_scale.hop_data import HopDataConfig, make_hop_data

    output = make_output(as_json)
    if folders:
        _write_folders(episodes, out, output)
        return
    options = {
        "pairs": pairs,
        "zero_share": zero_share,
        "chunk": chunk,
        "rounding": rounding,
        "balance": balance,
        "swap_probability": swap_probability,
        "view_dropout": view_dropout,
        "seed": seed,
    }
    config = from_mapping(HopDataConfig, {name: v for name, v in options.items() if v is not None})
    with output.bar("grm data") as advance:
        summary = make_hop_data(episodes, out, _prompt(prompt_file, any_prompt), config, advance)
    _say_left_out(summary.left_out, output)
    figures = {**dataclasses.asdict(summary), "left_out": len(summary.left_out)}
    text = (
        f"{out}: {summary.items} items of {len(summary.episodes)} episodes, {summary.zero_hops} without progress, "
        f"{summary.swapped} with references of another episode; {len(summary.left_out)} episodes left out"
    )
    output.event("hop_data", text, **figures)


@grm.command()
@named_errors
def train(
    data: Annotated[list[Path], typer.Option(help="hop_data.json, or any SFT file; repeat for more.")],
    base: Annotated[str, typer.Option(help="Checkpoint folder or hub id to start from.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; the model lies in its 'model'.")],
    images: Annotated[
        Path | None, typer.Option(help="Folder that images lie under; default: each file's own.")
    ] = None,
    settings: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    assign: Annotated[
        list[str] | None, typer.Option("--set", help="One setting as name=value; repeat for more.")
    ] = None,
    prompt_file: PromptOption = None,
    any_prompt: AnyPromptOption = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Take hub ids from the local cache only.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the newest checkpoint.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a GRM in one process; several: torchrun -m dopamine_core.reward.grm.training_at_scale, same options."""
    output = make_output(as_json)
    prompt = _prompt(prompt_file, any_prompt)
    with _named_packages(), output.bar("grm train") as advance:
        from dopamine_core.reward.grm.training_at_scale import run
        from dopamine_core.reward.grm.training_at_scale.settings import read_settings

        chosen = read_settings(settings, assign or [])
        report = run.train(
            run.Run(tuple(data), base, out, prompt, chosen, images, offline),
            resume=resume,
            on_step=lambda step: advance(step.step / step.steps, f"step {step.step}, loss {step.loss:.4f}"),
        )
    losses = "nothing was left to do"
    if report.last_loss is not None:
        losses = f"loss {report.first_loss:.4f} to {report.last_loss:.4f}"
    text = f"{report.model}: {report.steps} steps on {report.items} items, {losses}"
    output.event("trained", text, **dataclasses.asdict(report))


@contextmanager
def _named_packages() -> Iterator[None]:
    """Name the extra when a package is missing."""
    from dopamine_core.reward.registry import missing_package

    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_package("grm", error) from error


def _prompt(path: Path | None, any_prompt: bool) -> GrmPrompt:
    from dopamine_core.reward.grm.prompt import own_prompt, read_prompt

    if path is None and any_prompt:
        raise ConfigError(
            expected="--prompt-file with --any-prompt", got="none", remedy="name the prompt's file"
        )
    return own_prompt() if path is None else read_prompt(path, official=not any_prompt)


def _write_folders(episodes: list[Path], out: Path, output: Output) -> None:
    from dopamine_core.reward.grm.training_at_scale.episode_folders import write_episode_folders

    written, left_out = write_episode_folders(episodes, out)
    _say_left_out(left_out, output)
    text = f"{out}: {len(written)} episode folders; {len(left_out)} recordings left out"
    output.event("episode_folders", text, folders={k: str(v) for k, v in written.items()})


def _say_left_out(left_out: tuple[LeftOut, ...], output: Output) -> None:
    for one in left_out:
        fields: dict[str, Any] = dataclasses.asdict(one)
        output.event("left_out", f"left out {one.episode}: {one.kind}: {fields.pop('text')}", **fields)
