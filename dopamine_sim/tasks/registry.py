"""Task names: which may be trained on, which validates, which are never seen in training."""

from __future__ import annotations

from dopamine_core.errors import UnknownNameError
from dopamine_sim.tasks.base import Task
from dopamine_sim.tasks.flip_lever import FlipLever
from dopamine_sim.tasks.handles import OpenDrawer, SlideLid
from dopamine_sim.tasks.insert_peg import InsertPeg
from dopamine_sim.tasks.lift import Lift
from dopamine_sim.tasks.pick_place import PickPlace
from dopamine_sim.tasks.press_button import PressButton
from dopamine_sim.tasks.push import Pull, Push
from dopamine_sim.tasks.reach import Reach
from dopamine_sim.tasks.ring_on_post import RingOnPost
from dopamine_sim.tasks.sort_bin import SortBin
from dopamine_sim.tasks.stack import Stack

_TRAINING: tuple[type[Task], ...] = (
    InsertPeg,
    PickPlace,
    Reach,
    Push,
    Pull,
    Lift,
    PressButton,
    SortBin,
    FlipLever,
)
_VALIDATION: tuple[type[Task], ...] = (Stack,)
_HELD_OUT: tuple[type[Task], ...] = (OpenDrawer, SlideLid, RingOnPost)

TRAINING_TASKS = tuple(task.info.name for task in _TRAINING)
VALIDATION_TASKS = tuple(task.info.name for task in _VALIDATION)
HELD_OUT_TASKS = tuple(task.info.name for task in _HELD_OUT)
TASKS: dict[str, type[Task]] = {t.info.name: t for t in (*_TRAINING, *_VALIDATION, *_HELD_OUT)}
DEFAULT_TASK = InsertPeg.info.name


def make_task(name: str) -> Task:
    """Make a task by name.

    :raises UnknownNameError: listing the known ones.
    """
    if name not in TASKS:
        raise UnknownNameError(kind="task", name=name, known=list(TASKS))
    return TASKS[name]()
