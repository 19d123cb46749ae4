"""A task's parameter file says what the cell's task says, for nodes that must not import the cell."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from dopamine_cli.demo_settings import TASKS, load_demo_settings, task_file
from dopamine_cli.main import app
from dopamine_cli.nodes import demo_nodes
from dopamine_core.control.from_files import parameters_of
from dopamine_core.errors import UnknownNameError
from dopamine_demo_node.settings import DemoNodeConfig, ResetSettings
from dopamine_sim.tasks.registry import TASKS as CELL_TASKS


def test_every_task_of_the_cell_has_its_file_and_no_other():
    assert {path.stem for path in TASKS.glob("*.yaml")} == set(CELL_TASKS)


@pytest.mark.parametrize("name", CELL_TASKS)
def test_the_file_says_what_the_cell_says(name):
    info, said = CELL_TASKS[name].info, parameters_of(task_file(name))
    assert said == {
        "task": name,
        "time_limit_s": info.max_decisions / 10,
        "reset": {
            "home_low_m": list(info.start_low),
            "home_high_m": list(info.start_high),
            "home_gripper": info.start_gripper,
        },
        "action": {"axes": list(info.axes)},
    }
    DemoNodeConfig(task=said["task"], time_limit_s=said["time_limit_s"])
    ResetSettings(
        **{key: tuple(v) if isinstance(v, list) else v for key, v in said["reset"].items()}
    )


def test_without_a_task_the_gripper_stays_as_it_is():
    text = (TASKS.parent / "demo_node.yaml").read_text()
    level = yaml.safe_load(text)["/**"]["ros__parameters"]["reset"]["home_gripper"]
    assert level != level and ResetSettings().home_gripper != ResetSettings().home_gripper


def test_demo_node_and_learner_get_the_file_after_their_own(tmp_path):
    nodes = {n.name: n for n in demo_nodes(run_dir=tmp_path, task="lift", seed=0, speed=1.0)}
    for name in ("demo", "learner"):
        assert nodes[name].configs[-1] == "tasks/lift.yaml"


def test_an_episode_lasts_as_long_as_its_task():
    assert load_demo_settings(quick=True, task="pick_place").episode_s == 9.0
    assert load_demo_settings(quick=True).episode_s == 8.0


def test_an_unknown_task_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(UnknownNameError, match="insert_peg"):
        task_file("juggle")
    run = tmp_path / "run"
    words = ["demo", "--task", "juggle", "--run-dir", str(run), "--json"]
    result = CliRunner().invoke(app, words)
    said = json.loads(result.stdout)
    assert (result.exit_code, said["kind"]) == (2, "UnknownNameError")
    assert "pick_place" in said["expected"] and not run.exists()
