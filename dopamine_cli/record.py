"""``dopamine record``: one demonstration on a running graph, from reset to kept or discarded."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dopamine_cli.keys import Keys
from dopamine_cli.output import JsonOption, Output, make_output, named_errors
from dopamine_core.errors import DemonstrationError

KEYS = {"k": "keep", "d": "discard", "m": "mark_keyframe"}  # key: what is asked for
SLACK_S = 60.0
NO_LIMIT_S = 24 * 3600.0


@named_errors
def record(
    task: Annotated[str, typer.Option(help="Sentence or name of the task.")] = "insert_peg",
    time_limit: Annotated[float, typer.Option(help="Seconds; 0: none.", min=0.0)] = 0.0,
    count: Annotated[int, typer.Option(help="Demonstrations to keep.", min=1)] = 1,
    namespace: Annotated[str, typer.Option(help="Robot namespace.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Record demonstrations: a person drives, and keeps (k), discards (d) or marks a keyframe (m).

    The same by button on the game controller, or by the services record/keep, record/discard, record/mark_keyframe.
    """
    from dopamine_cli.client import Client, interrupt_on_terminate

    interrupt_on_terminate()  # either way the goal is taken back: nothing is left running
    output = make_output(as_json)
    with Client("dopamine_record", namespace=namespace) as client:
        for _ in range(count):
            result = record_one(client, output, task, time_limit)
            output.event(
                "recorded",
                f"kept: {result.bag_path} ({result.decisions} decisions)",
                bag=result.bag_path,
            )


def record_one(client: Any, output: Output, task: str, time_limit_s: float) -> Any:
    """Record one demonstration and wait for the verdict.

    :raises DemonstrationError: when it was not kept.
    """
    from dopamine_msgs.action import Record

    from dopamine_ros import names

    keys = Keys(KEYS)
    if keys.there:
        words = ", ".join(f"{key}: {what}" for key, what in KEYS.items())
        output.event("keys", f"recording; keys {words}")
    with output.bar("recording") as advance, keys.listening():
        result = client.run_action(
            Record,
            names.RECORD,
            Record.Goal(task=task, time_limit_s=float(time_limit_s)),
            timeout_s=(time_limit_s or NO_LIMIT_S) + SLACK_S,
            on_feedback=lambda f: advance(
                f.elapsed_s / time_limit_s if time_limit_s else 0.0,
                f"{f.elapsed_s:.1f} s, {f.decisions} decisions, {f.keyframes} keyframes, "
                f"{f.bytes_written / 1e6:.1f} MB",
            ),
            should_cancel=lambda: _do(keys.pressed(), client, output),
        )
    if result.code != Record.Result.OK:
        raise DemonstrationError(
            expected="a demonstration that the operator keeps",
            got=result.message or f"code {result.code}",
            remedy="drive again; keep with key k, button 1 or the service 'record/keep'",
        )
    return result


def _do(pressed: list[str], client: Any, output: Output) -> bool:
    """Ask for what keys mean; none of them cancels the recording, so the answer is False."""
    from std_srvs.srv import Trigger

    from dopamine_ros import names

    services = {"k": names.RECORD_KEEP, "d": names.RECORD_DISCARD, "m": names.MARK_KEYFRAME}
    for key in pressed:
        answer = client.call(Trigger, services[key], Trigger.Request())
        output.event("key", f"{KEYS[key]}: {answer.message}", ok=answer.success)
    return False
