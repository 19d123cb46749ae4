"""``config/demo.yaml`` and command-line options in, the declared settings of one demo run out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopamine_core.config import check, from_mapping, load_yaml, setting
from dopamine_core.control.from_files import parameters_of
from dopamine_core.errors import UnknownNameError

CONFIG = Path(__file__).resolve().parent.parent / "config"
DEMO_YAML = CONFIG / "demo.yaml"
TASKS = CONFIG / "tasks"


@dataclass(frozen=True)
class DemoSettings:
    """What the demo does and for how long. Stream times scale with ``speed``; ``minutes`` and ``adapt_s`` do not."""

    task: str = setting("insert_peg", doc="Task of the simulated cell.")
    demonstrations: int = setting(
        15, doc="Demonstrations in all; the reward model sees one.", low=1, high=200
    )
    evaluations_before: int = setting(
        3, doc="Evaluation episodes before practice.", low=0, high=100
    )
    evaluations_after: int = setting(5, doc="Evaluation episodes after practice.", low=0, high=100)
    minutes: float = setting(
        20.0, doc="Wall time for everything, report included.", unit="min", low=0.5, high=600.0
    )
    rollouts: int = setting(0, doc="Most rollouts; 0: as many as fit.", low=0, high=100_000)
    episode_s: float = setting(
        8.0,
        doc="Time limit of a rollout, stream time; 0 in the file: the task's own.",
        unit="s",
        low=0.5,
        high=600.0,
    )
    demonstration_s: float = setting(
        30.0, doc="Time limit of a demonstration.", unit="s", low=1.0, high=600.0
    )
    adapt_s: float = setting(
        90.0, doc="Wall time for adapting the reward model.", unit="s", low=1.0, high=3600.0
    )
    offline_steps: int = setting(
        0, doc="Offline gradient steps; 0: the learner's own number.", low=0, high=1_000_000
    )
    seed: int = setting(0, doc="First of all seeds of the run.", low=0, high=2**31 - 1)
    speed: float = setting(
        1.0, doc="How many times faster than real time /clock runs.", low=0.1, high=20.0
    )
    quick: bool = setting(False, doc="The short form of the run.")

    def __post_init__(self) -> None:
        check(self)


def load_demo_settings(path: Path = DEMO_YAML, *, quick: bool, **options: Any) -> DemoSettings:
    """Merge the file, its ``quick`` block if asked for, and options that were given.

    :param options: settings from the command line; ``None`` means not given.
    :raises ConfigError: on unknown or bad values.
    :raises UnknownNameError: on an unknown task, listing the known ones.
    """
    values = dict(load_yaml(path))
    short = values.pop("quick", {})
    if quick:
        values.update(short)
    values.update({name: value for name, value in options.items() if value is not None})
    task = parameters_of(task_file(str(values.get("task", DemoSettings.task))))
    values["episode_s"] = values.get("episode_s") or task["time_limit_s"]
    return dataclasses.replace(from_mapping(DemoSettings, values), quick=quick)


def task_file(task: str) -> Path:
    """Parameter file of a task: how its episodes begin, how long they last, which axes the policy moves.

    :raises UnknownNameError: when there is none, listing the known ones.
    """
    known = [path.stem for path in sorted(TASKS.glob("*.yaml"))]
    if task not in known:
        raise UnknownNameError(kind="task", name=task, known=known)
    return TASKS / f"{task}.yaml"
