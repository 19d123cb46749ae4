"""The scripted person: drives opened demonstrations, presses what a person presses, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from dopamine_core.control.teleop import Button, ButtonEdges, JoyMap
from dopamine_core.types import EpisodeInfo, EpisodeKind, EpisodeState
from dopamine_sim.mirror import Mirror
from dopamine_sim.person import PadMessage, Person
from dopamine_sim.servo import Servo

MAP = JoyMap()
HALF_NS = 50_000_000


def _episode(state: EpisodeState, kind: EpisodeKind = EpisodeKind.DEMONSTRATION) -> EpisodeInfo:
    return EpisodeInfo("e1", state, kind, "insert the peg", 1, 1)


def _held(pad: PadMessage) -> frozenset[Button]:
    return MAP.held(pad.buttons)


def _work(task: str, *, mode: str = "expert", seed: int = 0) -> tuple[list[PadMessage], Mirror]:
    """Let the person drive the mirror's own cell, as if the command path were perfect."""
    mirror = Mirror()
    mirror.set_scene(task, seed, False)
    person = Person(mirror, MAP, mode=mode, gain=0.75)
    person.on_episode(_episode(EpisodeState.OPEN))
    servo, gripper = Servo(mirror.cell), mirror.cell.task.info.start_gripper
    person.on_gripper(gripper)
    edges, pads, now_ns = ButtonEdges(), [], 10**9
    mirror.seen_ns = now_ns
    while (pad := person.message(now_ns)) is not None and len(pads) < 400:
        pads.append(pad)
        if Button.GRIPPER in edges.pressed(_held(pad)):
            gripper = 1.0 - gripper
            person.on_gripper(gripper)
        if Button.DEAD_MAN in _held(pad):
            servo.execute(MAP.twist(pad.axes)[:3] * HALF_NS * 1e-9, gripper, HALF_NS)
        now_ns += HALF_NS
        mirror.seen_ns = now_ns
    return pads, mirror


@pytest.mark.parametrize("task", ["insert_peg", "pick_place"])
def test_a_demonstration_is_driven_and_kept(task: str) -> None:
    pads, mirror = _work(task)
    pressed = [button for pad in pads for button in _held(pad)]
    assert mirror.cell.truth().success
    assert pressed.count(Button.KEEP) == 1 and Button.DISCARD not in pressed
    assert pressed.count(Button.DEAD_MAN) > 50
    assert not _held(pads[-1]) and Button.KEEP not in _held(pads[-2])


def test_a_failure_is_discarded() -> None:
    pads, mirror = _work("insert_peg", mode="stops_early")
    pressed = [button for pad in pads for button in _held(pad)]
    assert not mirror.cell.truth().success
    assert pressed.count(Button.DISCARD) == 1 and Button.KEEP not in pressed


def test_nobody_touches_the_controller_between_demonstrations() -> None:
    mirror = Mirror()
    mirror.set_scene("reach", 0, False)
    person = Person(mirror, MAP)
    assert person.message(1) is None
    person.on_episode(_episode(EpisodeState.OPEN, EpisodeKind.ROLLOUT))
    assert person.message(1) is None


def test_a_blind_person_keeps_the_hands_off() -> None:
    mirror = Mirror()
    mirror.set_scene("reach", 0, False)
    person = Person(mirror, MAP)
    person.on_episode(_episode(EpisodeState.OPEN))
    pad = person.message(10**10)  # the last sight is ten seconds old
    assert pad is not None and not any(pad.buttons) and not np.any(pad.axes)


def test_a_closed_episode_ends_driving() -> None:
    mirror = Mirror()
    mirror.set_scene("reach", 0, False)
    mirror.seen_ns = 10**9
    person = Person(mirror, MAP)
    person.on_episode(_episode(EpisodeState.OPEN))
    assert Button.DEAD_MAN in _held(person.message(10**9))
    person.on_episode(_episode(EpisodeState.CLOSED))
    pads = [person.message(10**9) for _ in range(4)]
    assert all(pad is None or not any(pad.buttons) for pad in pads) and pads[-1] is None


def test_recordings_are_started_by_a_press_that_is_an_edge() -> None:
    person = Person(Mirror(), MAP, recordings=1)
    assert person.start_recording() and not person.start_recording()
    edges = ButtonEdges()
    pressed = [edges.pressed(_held(pad)) for pad in iter(lambda: person.message(1), None)]
    assert [button for buttons in pressed for button in buttons] == [Button.RECORD]
    assert not person.start_recording()
