"""``dopamine demo``: starts the graph, runs the chain, writes the report, leaves nothing running."""

from __future__ import annotations

import os
import platform
import sys
import time
from contextlib import ExitStack, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from dopamine_cli.demo_settings import DemoSettings, load_demo_settings
from dopamine_cli.output import (
    EXIT_INTERRUPTED,
    JsonOption,
    Output,
    make_output,
    named_errors,
)
from dopamine_core.config import load_yaml
from dopamine_core.evaluation.run_log import RunLog

CONFIG = Path(__file__).resolve().parent.parent / "config"
PACKAGES = ("robo_dopamine", "torch", "d3rlpy", "onnxruntime", "mujoco", "pin", "ros-jazzy-rclpy")


@named_errors
def demo(
    quick: Annotated[bool, typer.Option("--quick", help="3 demonstrations, 4 rollouts.")] = False,
    run_dir: Annotated[
        Path | None, typer.Option(help="Folder of this run; default runs/<date>.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Wall time for everything.")] = None,
    seed: Annotated[int | None, typer.Option(help="First of all seeds.")] = None,
    speed: Annotated[float | None, typer.Option(help="Time runs this much faster.")] = None,
    task: Annotated[str | None, typer.Option(help="Task of the cell, e.g. insert_peg.")] = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Also stream to a rerun viewer.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Demonstrate, adapt, train, practise and report in the simulated cell."""
    settings = load_demo_settings(quick=quick, minutes=minutes, seed=seed, speed=speed, task=task)
    folder = (run_dir or Path("runs") / time.strftime("%Y%m%d-%H%M%S")).resolve()
    log = RunLog(folder, header(settings, folder))
    output = make_output(as_json)
    output.event("run", f"run folder: {folder}", run_dir=str(folder), settings=vars(settings))
    stopped = _run_and_report(settings, folder, log, output, as_json=as_json, rerun=rerun)
    if stopped:
        raise typer.Exit(EXIT_INTERRUPTED)


def header(settings: DemoSettings, folder: Path) -> dict[str, Any]:
    """What is known before the first node starts."""
    tick_s = load_yaml(CONFIG / "command_node.yaml")["/**"]["ros__parameters"]["tick_s"]
    return {
        "id": folder.name,
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        **vars(settings),
        "command_period_ms": tick_s * 1e3,
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), **versions()},
    }


def versions() -> dict[str, str]:
    """Versions of the packages that matter; those not installed are left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _run_and_report(
    settings: DemoSettings, folder: Path, log: RunLog, output: Output, *, as_json: bool, rerun: bool
) -> bool:
    """Run the chain; whatever happens, close the graph and write the report.

    :returns: whether Ctrl-C ended it.
    """
    stopped = False
    start_s = time.monotonic()
    try:
        _run_graph(settings, folder, log, start_s, as_json=as_json, rerun=rerun)
    except KeyboardInterrupt:
        stopped = True
        log.update_header(stopped="Ctrl-C")
        output.event("stopped", "stopped; writing the report of what there is")
    except Exception as error:
        log.update_header(stopped=f"{type(error).__name__}: {error}")
        raise
    finally:
        _report(folder, log, output, start_s)
    return stopped


def _run_graph(
    settings: DemoSettings, folder: Path, log: RunLog, start_s: float, *, as_json: bool, rerun: bool
) -> None:
    from dopamine_cli.client import Client, interrupt_on_terminate
    from dopamine_cli.demo_run import DemoRun
    from dopamine_cli.graph import Graph
    from dopamine_cli.live_display import LiveDisplay
    from dopamine_cli.nodes import demo_nodes
    from dopamine_cli.watcher import Watcher

    interrupt_on_terminate()
    with ExitStack() as stack:
        graph = stack.enter_context(Graph(folder))
        for node in demo_nodes(
            run_dir=folder, task=settings.task, seed=settings.seed, speed=settings.speed
        ):
            graph.start(node.name, node.module, node.arguments(), nice=node.nice)
        client = stack.enter_context(
            Client("dopamine_demo", use_sim_time=settings.speed != 1.0, watch=graph.check)
        )
        watcher = Watcher(client.node, log, start_s)
        if rerun:
            from dopamine_cli.rerun_stream import RerunStream

            RerunStream(client.node, folder)
        live = not as_json and sys.stdout.isatty()
        screen = (
            LiveDisplay(watcher.state, settings.minutes * 60.0)
            if live
            else nullcontext(make_output(as_json))
        )
        output = stack.enter_context(screen)
        DemoRun(client=client, watcher=watcher, log=log, output=output, settings=settings).run()


def _report(folder: Path, log: RunLog, output: Output, start_s: float) -> None:
    from dopamine_core.episodes.dataset import load_episode
    from dopamine_core.evaluation.report import write_report
    from dopamine_core.evaluation.report_words import lead

    log.close()
    begin_s = time.monotonic() - start_s
    path = write_report(folder, load_episode, begin_s)
    end_s = time.monotonic() - start_s
    part = {"name": "report", "start_s": begin_s, "end_s": end_s, "ok": True, "text": ""}
    log.write("part", end_s, part)
    log.close()
    summary = _summary(folder)
    output.event("report", lead(summary), report=str(path), success=summary["success"]["rollouts"])
    output.event("done", f"report: {path}", total_s=round(time.monotonic() - start_s, 1))


def _summary(folder: Path) -> dict[str, Any]:
    import json

    from dopamine_core.evaluation.report import SUMMARY_FILE

    return dict(json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8")))
