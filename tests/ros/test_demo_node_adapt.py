"""Adaptation through the demo node: its own process, feedback, cancel, and the swap between episodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dopamine_msgs.action import Adapt, Record
from dopamine_msgs.msg import Episode

from dopamine_core.reward.registry import load_reward_model
from dopamine_ros import names
from tests.core.reward.tiny_nano import drawing, write_tiny_model
from tests.ros.command_graph import process, ros, spinning, wait_until
from tests.ros.demo_graph import Surroundings, flat

SLOW_S = 240.0  # importing torch takes long where other work shares the cores


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    base = write_tiny_model(tmp_path_factory.mktemp("base"))
    folder = tmp_path_factory.mktemp("run")
    slow = ("adapt.niceness:=0", f"adapt.grace_s:={SLOW_S}")
    parameters = (f"directory:={folder}", f"adapt.base_path:={base}", *slow)
    extra = tuple(part for parameter in parameters for part in ("-p", parameter))
    with ros():
        world = Surroundings()
        node = process("dopamine_demo_node.demo_node", "demo_node.yaml", extra=extra)
        with spinning(world), node:
            wait_until(lambda: bool(world.episodes), "the demo node")
            world.until_served()
            yield world


@pytest.fixture(scope="module")
def bag(graph: Surroundings) -> str:
    return demonstrate(graph)


def demonstrate(graph: Surroundings) -> str:
    """Record and keep a demonstration in which something grows."""
    begun = graph.now_ns()

    def growing(_: int) -> np.ndarray:
        return drawing(min((graph.now_ns() - begun) / 4e9, 1.0))

    graph.draw = growing
    _, result = graph.goal(names.RECORD, task="grow", time_limit_s=0.0)
    graph.until_state(Episode.OPEN)
    graph.until_decisions(40)
    graph.trigger(names.RECORD_KEEP)
    recorded = result()
    graph.draw = flat
    assert recorded.code == Record.Result.OK
    return str(recorded.bag_path)


def test_it_adapts_loads_and_sets_the_task_again(graph: Surroundings, bag: str) -> None:
    graph.models.clear()
    graph.tasks.clear()
    _, result = graph.goal(names.ADAPT, bag_path=bag, time_budget_s=10.0, seed=1)
    ended = result(SLOW_S)
    assert ended.code == Adapt.Result.OK, ended.message
    [loaded] = graph.models
    assert (loaded.name, loaded.path) == ("nano", ended.model_path)
    assert graph.tasks[-1].task == "grow"
    model = load_reward_model("nano", ended.model_path)
    assert model.model_id.adapted
    assert ended.success_threshold == pytest.approx(model.success_threshold)
    assert np.isfinite([ended.rmse_before, ended.rmse_after]).all()
    assert "held-out" in ended.message and Path(ended.report_path).is_file()
    phases = [feedback.phase for feedback in graph.feedback]
    assert {"load", "start", "encode", "tune", "swap"} <= set(phases)
    assert np.isnan(graph.feedback[0].loss)  # nothing was tuned yet
    fractions = [feedback.fraction for feedback in graph.feedback]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_a_cancel_ends_it_and_leaves_nothing(graph: Surroundings, bag: str) -> None:
    graph.models.clear()
    before = sorted(Path(bag).parents[1].glob("models/*"))
    handle, result = graph.goal(names.ADAPT, bag_path=bag, time_budget_s=60.0)
    wait_until(lambda: bool(graph.feedback), "feedback", SLOW_S)
    handle.cancel_goal_async()
    assert result(SLOW_S).code == Adapt.Result.CANCELLED
    assert graph.models == []
    assert sorted(Path(bag).parents[1].glob("models/*")) == before


def test_a_second_adaptation_is_refused_while_one_runs(graph: Surroundings, bag: str) -> None:
    handle, result = graph.goal(names.ADAPT, bag_path=bag, time_budget_s=60.0)
    _, second = graph.goal(names.ADAPT, bag_path=bag)
    refused = second()
    assert refused.code == Adapt.Result.FAILED and "running" in refused.message
    handle.cancel_goal_async()
    assert result(SLOW_S).code == Adapt.Result.CANCELLED


def test_what_was_not_kept_is_unusable(graph: Surroundings) -> None:
    _, result = graph.goal(names.RECORD, task="t", time_limit_s=0.0)
    graph.until_state(Episode.OPEN)
    graph.until_decisions(3)
    graph.trigger(names.RECORD_DISCARD)
    discarded = result().bag_path
    _, result = graph.goal(names.ADAPT, bag_path=discarded)
    ended = result(SLOW_S)
    assert ended.code == Adapt.Result.UNUSABLE_DEMONSTRATION and "kept" in ended.message


@pytest.mark.parametrize("content", [None, b"no recording at all", "half"])
def test_a_missing_or_corrupt_bag_is_unusable(
    graph: Surroundings, bag: str, tmp_path: Path, content: bytes | str | None
) -> None:
    path = tmp_path / "bad.mcap"
    if content is not None:
        whole = Path(bag).read_bytes()
        path.write_bytes(content if isinstance(content, bytes) else whole[: len(whole) // 2])
    _, result = graph.goal(names.ADAPT, bag_path=str(path))
    ended = result(SLOW_S)
    assert ended.code == Adapt.Result.UNUSABLE_DEMONSTRATION and "bad.mcap" in ended.message
    assert np.isnan([ended.rmse_before, ended.rmse_after, ended.success_threshold]).all()
