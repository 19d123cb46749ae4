"""The demo's chain over real topics and actions: order, seeds, times, refusals, Ctrl-C, dead nodes."""

import signal
import threading
import time

import pytest

from dopamine_cli.client import Client
from dopamine_cli.demo_run import DemoRun
from dopamine_cli.demo_settings import DemoSettings
from dopamine_cli.output import JsonLines
from dopamine_cli.watcher import Watcher
from dopamine_core.errors import GraphError
from dopamine_core.evaluation.report_summary import summarise
from dopamine_core.evaluation.run_log import RunLog, read_run
from tests.ros.cli.fake_graph import FakeGraph

SETTINGS = DemoSettings(
    demonstrations=3, rollouts=4, evaluations_before=1, evaluations_after=0, minutes=10.0, seed=7
)


def run_demo(graph, run_dir, settings=SETTINGS, watch=lambda: None):
    log = RunLog(run_dir, {"task": "insert_peg"})
    try:
        with Client("test_demo", watch=watch) as client:
            watcher = Watcher(client.node, log, time.monotonic())
            DemoRun(
                client=client, watcher=watcher, log=log, output=JsonLines(), settings=settings
            ).run()
            return watcher.state.snapshot()
    finally:
        log.close()


@pytest.fixture
def graph():
    graph = FakeGraph()
    yield graph
    graph.close()


def test_the_chain_runs_in_order_with_distinct_scenes(graph, tmp_path, capsys):
    state = run_demo(graph, tmp_path)
    assert graph.names() == [
        *("reset", "record", "adapt"),
        *("reset", "record", "reset", "record"),
        *("train", "practice", "practice"),
    ]
    scenes = [goal.seed for name, goal in graph.calls if name == "reset"]
    practice = [goal for name, goal in graph.calls if name == "practice"]
    used = scenes + [goal.seed + k for goal in practice for k in range(goal.episodes)]
    assert len(set(used)) == len(used)
    assert all(goal.shift for goal in practice)
    assert sum(goal.episodes for goal in practice if goal.kind == 2) == 4
    assert state.counts == {"rollout": 5}
    (train,) = [goal for name, goal in graph.calls if name == "train"]
    assert list(train.bag_paths) == ["/bag/1", "/bag/2", "/bag/3"]
    assert train.then_online
    events = capsys.readouterr().out
    assert '"event": "stage_end"' in events


def test_the_run_folder_holds_parts_and_episodes(graph, tmp_path):
    run_demo(graph, tmp_path)
    summary = summarise(read_run(tmp_path))
    names = [part["name"] for part in summary["parts"]]
    assert names == [
        *("connect", "demonstration 1", "adapt", "demonstrations"),
        *("train offline", "evaluate before", "practise"),
    ]
    assert all(part["ok"] for part in summary["parts"])
    assert summary["success"]["rollouts"]["episodes"] == 5
    assert summary["notes"]["adapt"]["rmse_after"] == pytest.approx(0.2)
    assert "a goal" in summary["learner"]["waiting_s"]


def test_a_discarded_demonstration_is_recorded_again(tmp_path):
    graph = FakeGraph(refuse_first=True)
    try:
        run_demo(graph, tmp_path)
    finally:
        graph.close()
    (train,) = [goal for name, goal in graph.calls if name == "train"]
    assert list(train.bag_paths) == ["/bag/2", "/bag/3", "/bag/4"]


def test_ctrl_c_cancels_the_goal_and_keeps_the_records(tmp_path):
    graph = FakeGraph(slow_practice=True)
    sent = threading.Event()

    def interrupt_in_practice():
        if "practice" in graph.names() and not sent.is_set():
            sent.set()
            signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            run_demo(graph, tmp_path, watch=interrupt_in_practice)
        time.sleep(0.3)
        assert "cancelled" in graph.names()
    finally:
        graph.close()
    parts = {part["name"]: part for part in summarise(read_run(tmp_path))["parts"]}
    assert parts["adapt"]["ok"]
    assert not parts["evaluate before"]["ok"]


def test_a_broken_graph_ends_the_wait(graph, tmp_path):
    def broken():
        if "adapt" in graph.names():
            raise GraphError(expected="a live learner", got="exit code 1", remedy="see learner.log")

    with pytest.raises(GraphError, match=r"see learner\.log"):
        run_demo(graph, tmp_path, watch=broken)


def test_a_missing_server_is_named():
    with Client("test_missing") as client:
        from dopamine_msgs.action import Reset

        with pytest.raises(GraphError, match="action 'nowhere'"):
            client.wait_for_action(Reset, "nowhere", 0.2)
