"""``dopamine adapt``: adapts the reward model of a running graph to one demonstration."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from dopamine_cli.output import JsonOption, make_output, named_errors
from dopamine_core.errors import ModelError

SLACK_S = 60.0


@named_errors
def adapt(
    bag: Annotated[Path, typer.Argument(help="The demonstration.")],
    held_out: Annotated[
        list[Path] | None, typer.Option(help="Demonstrations it must not see.")
    ] = None,
    time_budget: Annotated[float, typer.Option(help="Seconds; 0: the default.", min=0.0)] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the adaptation.")] = 0,
    namespace: Annotated[str, typer.Option(help="Robot namespace.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Adapt the reward model; the new one is loaded between episodes."""
    from dopamine_msgs.action import Adapt

    from dopamine_cli.client import Client, interrupt_on_terminate
    from dopamine_ros import names
    from dopamine_ros.convert.plain import to_plain

    interrupt_on_terminate()  # either way the goal is taken back: nothing is left running
    output = make_output(as_json)
    goal = Adapt.Goal(
        bag_path=str(bag.resolve()),
        held_out_bag_paths=[str(path.resolve()) for path in held_out or []],
        time_budget_s=float(time_budget),
        seed=seed,
    )
    with Client("dopamine_adapt", namespace=namespace) as client, output.bar("adapting") as advance:
        result = client.run_action(
            Adapt,
            names.ADAPT,
            goal,
            timeout_s=(time_budget or 120.0) + SLACK_S,
            on_feedback=lambda f: advance(f.fraction, _words(f.phase, f.loss)),
        )
    if result.code != Adapt.Result.OK:
        raise ModelError(
            expected="an adapted reward model",
            got=result.message,
            remedy="record another demonstration",
        )
    text = (
        f"RMSE {result.rmse_before:.3f} before, {result.rmse_after:.3f} after; "
        f"success from {result.success_threshold:.2f}; report: {result.report_path}"
    )
    output.event("adapted", text, **to_plain(result))


def _words(phase: str, loss: float) -> str:
    return f"{phase}, loss {loss:.4f}" if math.isfinite(loss) else phase
