"""``dopamine adapt``: a demonstration in, an adapted reward model out: by a running graph, or here without one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dopamine_cli.output import JsonOption, Output, make_output, named_errors
from dopamine_core.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from dopamine_msgs.action import Adapt

SLACK_S = 60.0
DEFAULT_S = 120.0  # of a graph whose demo node sets the time


@named_errors
def adapt(
    bag: Annotated[Path, typer.Argument(help="The demonstration.")],
    held_out: Annotated[
        list[Path] | None, typer.Option(help="Demonstrations it must not see.")
    ] = None,
    time_budget: Annotated[float, typer.Option(help="Seconds; 0: the default.", min=0.0)] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the adaptation.")] = 0,
    timeout: Annotated[
        float, typer.Option(help="Longest wait for the graph, s; 0: the time budget and a minute.", min=0.0)
    ] = 0.0,
    out: Annotated[
        Path | None, typer.Option(help="Adapt here, without a graph, into this folder.")
    ] = None,
    back_end: Annotated[
        str, typer.Option(help="With --out: nano or grm. A graph's is its demo node's adapt.model_name.")
    ] = "nano",
    base: Annotated[
        str,
        typer.Option(help="With --out: folder, hub id or settings file it starts from; default: its own."),
    ] = "",
    settings: Annotated[
        str, typer.Option(help="With --out: .yaml file of the adaptation's settings.")
    ] = "",
    namespace: Annotated[str, typer.Option(help="Robot namespace.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Adapt the reward model; in a running graph, the new one is loaded between episodes.

    With --out it is done in this process. A broken run is gone on with when the same command is given again.
    """
    output = make_output(as_json)
    paths = held_out or []
    if out is not None:
        _adapt_here(output, bag, paths, out, (back_end, base, settings), time_budget, seed)
        return
    if (back_end, base, settings) != ("nano", "", ""):
        raise ConfigError(
            expected="--back-end, --base and --settings together with --out",
            got="no --out",
            remedy="name a folder, or set adapt.model_name and adapt.base_path of the demo node",
        )
    _ask_graph(output, bag, paths, time_budget, timeout, seed, namespace)


def _ask_graph(
    output: Output,
    bag: Path,
    held_out: list[Path],
    time_budget: float,
    timeout: float,
    seed: int,
    namespace: str,
) -> None:
    """Let the demo node do it."""
    from dopamine_msgs.action import Adapt

    from dopamine_cli.client import Client, interrupt_on_terminate
    from dopamine_ros import names
    from dopamine_ros.convert.plain import to_plain

    interrupt_on_terminate()  # either way the goal is taken back: nothing is left running
    goal = Adapt.Goal(
        bag_path=str(bag.resolve()),
        held_out_bag_paths=[str(path.resolve()) for path in held_out],
        time_budget_s=float(time_budget),
        seed=seed,
    )
    with Client("dopamine_adapt", namespace=namespace) as client, output.bar("adapting") as advance:
        result = client.run_action(
            Adapt,
            names.ADAPT,
            goal,
            timeout_s=timeout or (time_budget or DEFAULT_S) + SLACK_S,
            on_feedback=lambda f: advance(f.fraction, _words(f.phase, f.loss)),
        )
    _check(result)
    output.event("adapted", _summary(result), **to_plain(result))


def _check(result: Adapt.Result) -> None:
    if result.code != type(result).OK:
        raise ModelError(
            expected="an adapted reward model",
            got=result.message,
            remedy="record another demonstration",
        )


def _adapt_here(
    output: Output,
    bag: Path,
    held_out: list[Path],
    out: Path,
    model: tuple[str, str, str],
    time_budget: float,
    seed: int,
) -> None:
    """Adapt in this process."""
    from dopamine_core.episodes.dataset import load_demonstration
    from dopamine_core.reward.adaptable import AdaptJob, adapt_back_end

    demonstration, others = load_demonstration(bag), [load_demonstration(p) for p in held_out]
    budget = {"time_budget_s": time_budget} if time_budget else {}
    job = AdaptJob(out.resolve(), *model, seed=seed, **budget)
    with output.bar("adapting") as advance:
        figures = adapt_back_end(
            job,
            demonstration,
            others,
            lambda *, phase, fraction, loss, held_out_error: advance(fraction, _words(phase, loss)),
        )
    output.event(
        "adapted",
        _summary(figures),
        model_path=str(job.out_dir),
        report_path=str(figures.report_path),
        rmse_before=figures.rmse_before,
        rmse_after=figures.rmse_after,
        success_threshold=figures.success_threshold,
        message=f"judged on {figures.judged_on}; {figures.steps} steps in {figures.seconds:.0f} s",
    )


def _summary(result: object) -> str:
    return (
        f"RMSE {result.rmse_before:.3f} before, {result.rmse_after:.3f} after; "
        f"success from {result.success_threshold:.2f}; report: {result.report_path}"
    )


def _words(phase: str, loss: float) -> str:
    return f"{phase}, loss {loss:.4f}" if math.isfinite(loss) else phase
