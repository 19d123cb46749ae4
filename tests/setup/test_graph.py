"""The launcher: whatever ends the parent, no node is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dopamine_cli.graph import Graph, NodeDiedError
from dopamine_cli.reaper import members
from dopamine_core.errors import GraphError

ROOT = Path(__file__).resolve().parents[2]
ACTOR = "tests.setup.actor"
ENV = {"PYTHONPATH": str(ROOT)}
MARK = "actor-of"


def alive(run_dir: Path) -> list[int]:
    """Processes that carry this run's mark on their command line."""
    mark = f"{MARK}={run_dir}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def until(condition: Callable[[], object], timeout_s: float = 20.0) -> bool:
    """Wait for a condition."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def play(graph: Graph, name: str, part: str, nice: int = 0) -> None:
    graph.start(name, ACTOR, [part, f"{MARK}={graph.run_dir}"], nice=nice)


def open_graph(run_dir: Path, grace_s: float = 1.0) -> Graph:
    return Graph(run_dir, env=ENV, grace_s=grace_s)


def test_nodes_run_apart_and_end_together(tmp_path: Path) -> None:
    with open_graph(tmp_path) as graph:
        play(graph, "plain", "good")
        play(graph, "low", "good", nice=7)
        graph.wait_ready(timeout_s=30)
        graph.check()
        pids = alive(tmp_path)
        assert len(pids) == 2
        assert {os.getpgid(pid) for pid in pids} == set(pids)  # each leads its own group
        assert int(os.environ["ROS_DOMAIN_ID"]) == graph.domain_id
        words = (tmp_path / "logs" / "low.log").read_text()
        assert words.startswith(f"nice {os.nice(0) + 7} domain {graph.domain_id}")
    assert alive(tmp_path) == []


def test_own_environment_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    with open_graph(tmp_path) as graph:
        assert os.environ["ROS_DOMAIN_ID"] == str(graph.domain_id)
        assert Path(os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()
    assert os.environ["ROS_DOMAIN_ID"] == "7"
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" not in os.environ


@pytest.mark.parametrize("part", ["stubborn", "family"])
def test_what_ignores_signals_is_killed_with_its_children(tmp_path: Path, part: str) -> None:
    with open_graph(tmp_path) as graph:
        play(graph, "hard", part)
        graph.wait_ready(timeout_s=30)
        wanted = 2 if part == "family" else 1
        assert until(lambda: len(alive(tmp_path)) == wanted)
    assert alive(tmp_path) == []


def test_a_dead_node_is_named_with_its_last_words(tmp_path: Path) -> None:
    with open_graph(tmp_path) as graph:
        play(graph, "good", "good")
        play(graph, "motor", "dies")
        assert until(lambda: graph._nodes["motor"].process.poll() is not None)
        with pytest.raises(NodeDiedError, match=r"(?s)'motor'.*exit code 1.*the motor is on fire.*motor\.log"):
            graph.check()
    assert alive(tmp_path) == []


def test_a_killed_node_is_reported_and_can_start_again(tmp_path: Path) -> None:
    with open_graph(tmp_path) as graph:
        play(graph, "one", "good")
        graph.wait_ready(timeout_s=30)
        graph.kill("one")
        with pytest.raises(NodeDiedError, match="signal SIGKILL"):
            graph.check()
        play(graph, "one", "mute")
        with pytest.raises(GraphError, match="ready within"):  # the first start's word does not count
            graph.wait_ready(timeout_s=1.0)
        graph.check()


def test_a_running_name_is_refused(tmp_path: Path) -> None:
    with open_graph(tmp_path) as graph:
        play(graph, "one", "good")
        with pytest.raises(GraphError, match="'one' not to run yet"):
            play(graph, "one", "good")


def test_an_exception_ends_the_nodes(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_graph(tmp_path) as graph:
        play(graph, "hard", "stubborn")
        graph.wait_ready(timeout_s=30)
        raise ZeroDivisionError
    assert alive(tmp_path) == []


PARENT = """
    import sys, time
    from pathlib import Path
    from dopamine_cli.graph import Graph
    run_dir = Path(sys.argv[1])
    with Graph(run_dir, env={"PYTHONPATH": sys.argv[2]}, grace_s=1.0) as graph:
        for name in ("good", "stubborn", "family"):
            graph.start(name, "tests.setup.actor", [name, f"actor-of={run_dir}"])
        graph.wait_ready(timeout_s=30)
        print("up", graph.domain_id, flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "codes"),
    [
        (signal.SIGINT, {130, -signal.SIGINT}),
        (signal.SIGTERM, {143}),
        (signal.SIGHUP, {129}),
        (signal.SIGKILL, {-signal.SIGKILL}),
    ],
)
def test_nothing_outlives_the_parent(tmp_path: Path, number: int, codes: set[int]) -> None:
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT))
    command = [sys.executable, str(script), str(tmp_path), str(ROOT)]
    env = os.environ | ENV
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT) as parent:
        assert parent.stdout is not None
        try:
            assert parent.stdout.readline().startswith("up")
            assert until(lambda: len(alive(tmp_path)) == 4)
            parent.send_signal(number)
            assert parent.wait(timeout=30) in codes
            assert until(lambda: alive(tmp_path) == [])
        finally:
            parent.kill()


def test_the_reaper_waits_for_nobody_after_a_good_end(tmp_path: Path) -> None:
    with open_graph(tmp_path) as graph:
        pid = graph._reaper.pid
        assert members(pid) == [pid]
    assert members(pid) == []
