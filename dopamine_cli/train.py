"""``dopamine train``: offline training on recorded episodes by the learner of a running graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dopamine_cli.output import JsonOption, make_output, named_errors
from dopamine_core.errors import LearnerError

LONGEST_S = 24 * 3600.0


@named_errors
def train(
    bags: Annotated[list[Path], typer.Argument(help="Demonstrations and rollouts.")],
    steps: Annotated[
        int, typer.Option(help="Gradient steps; 0: the configured number.", min=0)
    ] = 0,
    online: Annotated[
        bool, typer.Option("--online", help="Go on learning while the arm practises.")
    ] = False,
    resume: Annotated[Path | None, typer.Option(help="Checkpoint folder to go on from.")] = None,
    namespace: Annotated[str, typer.Option(help="Robot namespace.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Train the policy."""
    from dopamine_msgs.action import Train

    from dopamine_cli.client import Client, interrupt_on_terminate
    from dopamine_ros import names
    from dopamine_ros.convert.plain import to_plain

    interrupt_on_terminate()  # either way the goal is taken back: nothing is left running
    output = make_output(as_json)
    goal = Train.Goal(
        bag_paths=[str(bag.resolve()) for bag in bags],
        gradient_steps=steps,
        then_online=online,
        resume_from=str(resume.resolve()) if resume else "",
    )
    with Client("dopamine_train", namespace=namespace) as client, output.bar("training") as advance:
        result = client.run_action(
            Train,
            names.TRAIN,
            goal,
            timeout_s=LONGEST_S,
            on_feedback=lambda f: advance(
                f.fraction, f"{f.gradient_steps} steps, critic {f.critic_loss:.3f}"
            ),
        )
    if result.code != Train.Result.OK:
        raise LearnerError(
            expected="training to finish", got=result.message, remedy="see the learner's log"
        )
    output.event(
        "trained",
        f"{result.gradient_steps} steps; checkpoint: {result.checkpoint}",
        **to_plain(result),
    )
