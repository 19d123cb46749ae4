"""Adaptation of a GRM through the demo node: settings files, feedback, the swap, and a cancel that leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dopamine_msgs.action import Adapt

from dopamine_core.reward.grm.adapted import read_adaptation
from dopamine_core.reward.reference_images import load_references
from dopamine_ros import names
from tests.models.grm.training.tiny_base import config_of, write_settings
from tests.models.tiny_qwen import write_qwen2_5
from tests.ros.command_graph import process, ros, spinning, wait_until
from tests.ros.demo_graph import Surroundings
from tests.ros.test_demo_node_adapt import SLOW_S, demonstrate

SETTINGS = "batch: 4\npairs: 40\njudged_pairs: 8\nshown_frames: 8\nlora_rank: 2\nsave_every: 1\nsteps: {steps}\n"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    base = tmp_path_factory.mktemp("base")
    settings = write_settings(config_of(write_qwen2_5(base / "model")), base / "grm.yaml")
    (base / "adapt.yaml").write_text(SETTINGS.format(steps=3))
    parameters = (
        f"directory:={tmp_path_factory.mktemp('run')}",
        "adapt.model_name:=grm",
        f"adapt.base_path:={settings}",
        f"adapt.settings_path:={base / 'adapt.yaml'}",
        "adapt.niceness:=0",
        f"adapt.grace_s:={SLOW_S}",
    )
    extra = tuple(part for parameter in parameters for part in ("-p", parameter))
    with ros():
        world = Surroundings()
        node = process("dopamine_demo_node.demo_node", "demo_node.yaml", extra=extra)
        with spinning(world), node:
            wait_until(lambda: bool(world.episodes), "the demo node")
            world.until_served()
            world.settings = base / "adapt.yaml"
            yield world


@pytest.fixture(scope="module")
def bag(graph: Surroundings) -> str:
    return demonstrate(graph)


def test_a_grm_is_adapted_loaded_and_told_its_task(graph: Surroundings, bag: str) -> None:
    graph.models.clear()
    graph.feedback.clear()
    _, result = graph.goal(names.ADAPT, bag_path=bag, time_budget_s=120.0, seed=1)
    ended = result(SLOW_S)
    assert ended.code == Adapt.Result.OK, ended.message
    [loaded] = graph.models
    assert (loaded.name, loaded.path) == ("grm", ended.model_path)
    found = read_adaptation(ended.model_path)
    assert found.task == graph.tasks[-1].task == "grow"
    assert ended.success_threshold == pytest.approx(found.success_threshold)
    assert np.isfinite([ended.rmse_before, ended.rmse_after]).all()
    assert "held-out" in ended.message and Path(ended.report_path).name == "report.json"
    assert load_references(ended.model_path).task == "grow"
    phases = [feedback.phase for feedback in graph.feedback]
    assert {"load", "tune", "swap"} <= set(phases)


def test_a_cancel_leaves_nothing(graph: Surroundings, bag: str) -> None:
    graph.models.clear()
    graph.feedback.clear()
    graph.settings.write_text(SETTINGS.format(steps=100_000))
    models = Path(bag).parents[1] / "models"
    before = sorted(models.iterdir())
    handle, result = graph.goal(names.ADAPT, bag_path=bag, time_budget_s=600.0)
    wait_until(lambda: len(sorted(models.iterdir())) > len(before), "a state on disk", SLOW_S)
    handle.cancel_goal_async()
    assert result(SLOW_S).code == Adapt.Result.CANCELLED
    assert graph.models == [] and sorted(models.iterdir()) == before
