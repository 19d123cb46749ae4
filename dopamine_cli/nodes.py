"""Settings of a run in, the list of processes of the graph with their ROS arguments out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dopamine_core.errors import ConfigError

CONFIG = Path(__file__).resolve().parent.parent / "config"


@dataclass(frozen=True)
class NodeSpec:
    """One process of the graph."""

    name: str
    module: str
    configs: tuple[str, ...] = ()  # files in config/
    parameters: dict[str, object] = field(default_factory=dict)
    nice: int = 0  # the learner lowers its own priority, once its libraries are loaded

    def arguments(self) -> list[str]:
        """Command-line arguments after ``python -m module``.

        :raises ConfigError: when a parameter file is missing.
        """
        arguments = ["--ros-args"]
        for config in self.configs:
            path = CONFIG / config
            if not path.is_file():
                raise ConfigError(
                    expected=f"the parameter file {path.name} of {self.name}",
                    got="no such file",
                    remedy=f"restore config/{path.name}",
                )
            arguments += ["--params-file", str(path)]
        for name, value in self.parameters.items():
            arguments += ["-p", f"{name}:={_yaml(value)}"]
        return arguments


def demo_nodes(*, run_dir: Path, task: str, seed: int, speed: float) -> list[NodeSpec]:
    """Processes of the demo in the order of starting.

    :param run_dir: where bags, models and checkpoints go.
    :param task: its file in ``config/tasks`` tells demo node and learner what it asks for.
    :param speed: above or below 1 the cell publishes ``/clock`` and everybody follows it.
    """
    clock: dict[str, object] = {"use_sim_time": speed != 1.0}
    asked = f"tasks/{task}.yaml"
    cell = {"task": task, "seed": seed, "speed": float(speed)}
    return [
        NodeSpec("cell", "dopamine_sim.cell_node", ("cell_node.yaml",), cell),
        NodeSpec(
            "command",
            "dopamine_rl_node.command_node",
            ("command_node.yaml", "limits.yaml"),
            clock,
        ),
        NodeSpec("reward", "dopamine_reward_node.reward_node", ("reward_node.yaml",), clock),
        NodeSpec(
            "demo",
            "dopamine_demo_node.demo_node",
            ("demo_node.yaml", asked),
            clock | {"directory": str(run_dir)},
        ),
        NodeSpec("agent", "dopamine_rl_node.agent_node", ("agent_node.yaml",), clock),
        NodeSpec(
            "learner",
            "dopamine_rl_node.learner_node",
            ("learner_node.yaml", asked),
            clock | {"directory": str(run_dir), "seed": seed},
        ),
        NodeSpec(
            "operator",
            "dopamine_sim.operator_node",
            ("operator_node.yaml",),
            clock | {"seed": seed},
        ),
    ]


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # rcl reads 7 as an integer and 7.0 as a double; text is quoted so that "3" stays text.
    return f'"{value}"' if isinstance(value, str) else repr(value)
