"""The cell that runs by itself: keeps its rates, follows its clock, survives what goes wrong."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from dopamine_core.errors import UnknownNameError
from dopamine_sim.cell import Cell, JointState, Truth
from dopamine_sim.config import CellConfig
from dopamine_sim.live_cell import LiveCell, LiveConfig, SceneState
from dopamine_sim.mirror import Mirror

SMALL = {"image_width": 64, "image_height": 48}


class Notes:
    """Keeps what the cell says."""

    def __init__(self) -> None:
        self.heard: dict[str, list] = defaultdict(list)

    def clock(self, now_ns: int) -> None:
        self.heard["clock"].append(now_ns)

    def joints(self, state: JointState) -> None:
        self.heard["joints"].append(state)

    def truth(self, stamp_ns: int, truth: Truth, task: str, seed: int, shift: bool) -> None:
        self.heard["truth"].append((stamp_ns, truth, task, seed, shift))

    def state(self, state: SceneState) -> None:
        self.heard["state"].append(state)

    def images(self, stamp_ns: int, images: dict) -> None:
        self.heard["images"].append((stamp_ns, images))

    def trouble(self, text: str) -> None:
        self.heard["trouble"].append(text)


def _wait(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "the cell did not do it in time"
        time.sleep(0.005)


def _running(notes: Notes, **options: object) -> LiveCell:
    live = LiveCell(LiveConfig(**{**SMALL, **options}), CellConfig(), notes, time.time_ns)
    live.start()
    return live


@pytest.fixture(scope="module")
def fast() -> Iterator[tuple[LiveCell, Notes]]:
    notes = Notes()
    live = _running(notes, speed=10.0, task="reach")
    _wait(lambda: len(notes.heard["images"]) > 20)
    yield live, notes
    live.close()


def test_simulated_time_keeps_every_rate_exactly(fast: tuple[LiveCell, Notes]) -> None:
    _, notes = fast
    stamps = [stamp for stamp, _ in notes.heard["images"][:20]]
    assert np.diff(stamps) == pytest.approx(1e9 / 30, abs=10_000_001)  # on the 10 ms grid of control
    assert (stamps[-1] - stamps[0]) / 1e9 == pytest.approx(19 / 30, abs=0.011)
    joints = [state.stamp_ns for state in notes.heard["joints"][1:40]]
    assert set(np.diff(joints)) == {20_000_000}
    assert set(np.diff(notes.heard["clock"])) == {10_000_000}


def test_both_cameras_show_the_same_moment_at_the_asked_size(fast: tuple[LiveCell, Notes]) -> None:
    _, notes = fast
    _, images = notes.heard["images"][-1]
    assert set(images) == {"front", "wrist"}
    assert all(image.shape == (48, 64, 3) and image.std() > 5 for image in images.values())


def test_a_new_scene_and_a_new_task_keep_arm_and_clock(fast: tuple[LiveCell, Notes]) -> None:
    live, notes = fast
    before = notes.heard["joints"][-1]
    assert "stack, seed 11" in live.reset_scene("stack", 11, True)
    count = len(notes.heard["images"])
    _wait(lambda: len(notes.heard["images"]) > count + 3 and notes.heard["truth"][-1][2] == "stack")
    after = notes.heard["joints"][-1]
    assert after.stamp_ns > before.stamp_ns
    assert after.position[:6] == pytest.approx(before.position[:6], abs=0.01)
    assert notes.heard["truth"][-1][3:] == (11, True)
    assert "seed 12" in live.reset_scene("", -1, False)
    with pytest.raises(UnknownNameError):
        live.reset_scene("juggle", 1, False)
    live.reset_scene("reach", 0, False)


def test_a_mirror_rebuilds_what_is_seen(fast: tuple[LiveCell, Notes]) -> None:
    live, notes = fast
    live.reset_scene("insert_peg", 4, True)
    count = len(notes.heard["truth"])
    _wait(lambda: len(notes.heard["truth"]) > count + 1)
    mirror = Mirror()
    mirror.set_scene("insert_peg", 4, True)
    assert mirror.see(notes.heard["state"][-1].values, 1)
    assert not mirror.see([0.0], 1)
    original, copy = live._cell.scene, mirror.cell.scene
    for body in ("peg", "block", "tcp"):
        assert copy.position(body) == pytest.approx(original.position(body), abs=2e-3)
    live.reset_scene("reach", 0, False)


def test_blown_up_physics_is_reported_and_the_cell_goes_on(fast: tuple[LiveCell, Notes]) -> None:
    live, notes = fast
    with live._lock:
        live._cell.scene.data.qvel[:] = 1e12
    _wait(lambda: bool(notes.heard["trouble"]))
    assert "stable physics" in notes.heard["trouble"][0] and live.health.blow_ups == 1
    count = len(notes.heard["images"])
    _wait(lambda: len(notes.heard["images"]) > count + 3)


def test_real_time_follows_the_system_clock() -> None:
    notes = Notes()
    live = _running(notes, task="reach")
    try:
        _wait(lambda: len(notes.heard["joints"]) > 10)
        lag_ns = time.time_ns() - notes.heard["joints"][-1].stamp_ns
        assert -20_000_000 < lag_ns < 1_000_000_000
        assert not notes.heard["clock"]
    finally:
        live.close()


def test_time_that_cannot_be_made_up_for_is_given_up() -> None:
    """A clock that jumps ahead must not make the arm rush."""
    notes, jump = Notes(), [0]
    live = LiveCell(LiveConfig(**SMALL), CellConfig(), notes, lambda: time.time_ns() + jump[0])
    live.start()
    try:
        _wait(lambda: len(notes.heard["joints"]) > 2)
        jump[0] = 60 * 10**9
        _wait(lambda: live.health.skipped_ns > 50 * 10**9)
    finally:
        live.close()


def test_closing_twice_and_unstarted_is_harmless() -> None:
    live = LiveCell(LiveConfig(**SMALL), CellConfig(), Notes(), time.time_ns)
    live.close()
    live.close()


def test_the_cell_hands_over_arm_and_clock() -> None:
    one, other = Cell("reach"), Cell("lift")
    one.advance(100_000_000)
    other.take_over(one)
    other.reset_scene(3)
    assert other.now_ns == one.now_ns
    assert other.joint_state().position[:6] == pytest.approx(one.joint_state().position[:6], abs=1e-3)
