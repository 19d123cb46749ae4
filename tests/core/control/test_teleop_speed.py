"""The shipped parameter files: what a person can show, the policy can do; and everybody holds the same controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dopamine_core.config import from_mapping
from dopamine_core.control.from_files import parameters_of
from dopamine_core.control.teleop import JoyMap

CONFIG = Path(__file__).resolve().parents[3] / "config"


def parameters(node: str) -> dict[str, Any]:
    return parameters_of(CONFIG / f"{node}.yaml")


@pytest.mark.parametrize(
    ("speed", "step"), [("max_linear_m_s", "max_step_m"), ("max_angular_rad_s", "max_step_rad")]
)
def test_a_demonstration_at_full_stick_stays_within_the_policys_range(
    speed: str, step: str
) -> None:
    """Ticks and decisions are not in step: an interval may hold one tick more than its share."""
    command = parameters("command_node")
    longest_s = command["decision_s"] + command["tick_s"]
    range_of_policy = parameters("learner_node")["action"][step]
    assert command["joy"][speed] * longest_s <= range_of_policy
    assert range_of_policy <= parameters("limits")["limits"][step]


def test_whoever_reads_the_controller_reads_it_alike() -> None:
    driver = from_mapping(JoyMap, parameters("command_node").get("joy", {}))
    for node in ("operator_node", "demo_node"):
        assert from_mapping(JoyMap, parameters(node).get("joy", {})) == driver, node


def test_everybody_means_the_same_decision_period() -> None:
    periods = (
        parameters("command_node")["decision_s"],
        parameters("agent_node")["decision_s"],
        parameters("demo_node")["decision_period_s"],
    )
    assert len(set(periods)) == 1
