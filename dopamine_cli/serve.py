"""``dopamine serve``: a reward model in, an HTTP server in Robometer's wire format out, until Ctrl-C."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dopamine_cli.output import EXIT_INTERRUPTED, JsonOption, Output, make_output, named_errors
from dopamine_core.errors import ConfigError, MissingPackageError

if TYPE_CHECKING:
    from dopamine_core.reward.serving.app import RequestRecord
    from dopamine_core.reward.session import References

INSTALL = "pip install 'robo_dopamine[serve]'"


@named_errors
def serve(
    model: Annotated[str, typer.Option(help="Registered reward model.")] = "nano",
    path: Annotated[
        str,
        typer.Option(
            help="Weights, adaptation folder, address or settings file; default: the model's own."
        ),
    ] = "",
    references: Annotated[
        Path | None,
        typer.Option(help="Folder of an adapted model, whose task, start and goal are shown."),
    ] = None,
    goal: Annotated[
        Path | None, typer.Option(help="Demonstration that shows task, start and goal.")
    ] = None,
    goals_in_requests: Annotated[
        bool, typer.Option("--goals-in-requests", help="Requests bring their own goal images.")
    ] = False,
    any_task: Annotated[
        bool,
        typer.Option("--any-task", help="Answer other tasks than the goal images show, too."),
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than loopback needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: a free one.", min=0, max=65535)] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(help="File with the bearer token; else it is read from DOPAMINE_SERVE_TOKEN."),
    ] = None,
    queue: Annotated[int, typer.Option(help="Requests taken in at a time.", min=1)] = 16,
    batch: Annotated[int, typer.Option(help="Clips or frames that the model is given at a time.", min=1)] = 16,
    timeout_s: Annotated[float, typer.Option(help="Longest time of a request, s.")] = 120.0,
    grace_s: Annotated[
        float, typer.Option(help="Time that requests under way have at the end, s.")
    ] = 10.0,
    request_mib: Annotated[int, typer.Option(help="Largest request, MiB.")] = 128,
    frames: Annotated[int, typer.Option(help="Most frames of a trajectory.")] = 512,
    megapixels: Annotated[float, typer.Option(help="Most pixels of a frame, Mpx.")] = 4.2,
    as_json: JsonOption = False,
) -> None:
    """Serve a reward model to Robometer's clients until Ctrl-C.

    A model that compares frames with a goal needs --references or --goal; an adapted model brings its own.
    """
    output = make_output(as_json)
    _require_packages()
    from dopamine_core.reward.registry import load_reward_model
    from dopamine_core.reward.serving.app import Service
    from dopamine_core.reward.serving.config import ServeConfig
    from dopamine_core.reward.serving.evaluation import Evaluator
    from dopamine_core.reward.serving.server import address_of, open_socket, run
    from dopamine_core.reward.wire.limits import WireLimits

    config = ServeConfig(
        host=host,
        port=port,
        token=read_token(token_file),
        queue=queue,
        batch=batch,
        timeout_s=timeout_s,
        grace_s=grace_s,
        limits=WireLimits(
            request_mib=request_mib, trajectory_frames=frames, megapixels=megapixels
        ),
    )
    shown = references_for(path, references, goal)
    with open_socket(config) as listener:
        evaluator = Evaluator(
            load_reward_model(model, path),
            shown,
            goals_in_requests=goals_in_requests,
            any_task=any_task,
            batch=batch,
        )
        service = Service(config, evaluator, lambda record: say_request(output, record))
        address, task = address_of(listener), shown.task if shown else ""
        started = functools.partial(
            output.event,
            "serving",
            f"serving {model} on {address}" + (f": {task}" if task else ""),
            address=address,
            model=model,
            sha256=evaluator.model.model_id.sha256,
            task=task,
            token=bool(config.token),
        )
        interrupted = run(service, listener, started)
    output.event("stopped", "stopped", requests=service.metrics.requests())
    if interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)


def read_token(file: Path | None) -> str:
    """Read the token from a file, else from the environment; never from the command line, which others can see.

    :raises ConfigError: when the file cannot be read or is empty.
    """
    from dopamine_core.reward.serving.config import TOKEN_VARIABLE

    if file is None:
        return os.environ.get(TOKEN_VARIABLE, "").strip()
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            expected=f"a readable token in {file}", got=str(error), remedy="check --token-file"
        ) from error
    if not token:
        raise ConfigError(
            expected=f"a token in {file}", got="an empty file", remedy="write one into it"
        )
    return token


def references_for(path: str, references: Path | None, goal: Path | None) -> References | None:
    """Choose task, start and goal: a folder, a demonstration, or the adapted model's own.

    :raises ConfigError: when both are named.
    :raises ModelError: when the folder holds no references.
    """
    from dopamine_core.reward.reference_images import FOLDER, load_references
    from dopamine_core.reward.session import References

    if references is not None and goal is not None:
        raise ConfigError(
            expected="--references or --goal", got="both", remedy="leave one of them out"
        )
    if references is not None:
        return load_references(references)
    if goal is not None:
        from dopamine_core.episodes.dataset import load_demonstration

        shown = load_demonstration(goal)
        return References(shown.task, (shown.pairs[-1],), shown.pairs[0])
    return load_references(path) if path and (Path(path) / FOLDER).is_dir() else None


def say_request(output: Output, record: RequestRecord) -> None:
    """Write one line of the log."""
    text = f"{record.request_id} {record.method} {record.path} {record.code} {record.seconds * 1e3:.1f} ms"
    if record.frames:
        text += f", {record.samples} samples, {record.frames} frames"
    if record.error:
        text += f", {record.error}"
    output.event("request", text, **vars(record))


def _require_packages() -> None:
    try:
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            expected=f"the package {error.name!r}, which the server needs",
            got="no such package in this environment",
            remedy=f"install it: {INSTALL}",
        ) from error
