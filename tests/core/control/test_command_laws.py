"""Laws of the command path under any switching of sources."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dopamine_core.control.command_core import CommandTick
from dopamine_core.control.kinematics import Kinematics
from dopamine_core.types import CommandSource, LimitReason
from tests.core.control.lagging_arm import Arm

KINEMATICS = Kinematics()


events = st.sampled_from(
    [
        "policy",
        "wild policy",
        "nan policy",
        "drive",
        "let go",
        "reset",
        "stop",
        "clear",
        "blind",
        "dark",
        "push",
        "still",
    ]
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(events, st.integers(1, 12), st.integers(0, 2**16)), min_size=3, max_size=25)
)
def test_no_jump_under_any_switching(script: list[tuple[str, int, int]]) -> None:
    arm = Arm(KINEMATICS)
    fastest = arm.limits.max_joint_velocity_rad_s * 0.02 * (1 + 1e-6)
    before: np.ndarray | None = None
    for event, count, seed in script:
        rng = np.random.default_rng(seed)
        for index in range(count):
            provoke(arm, event, index, rng)
            arm.sees = event != "dark"
            measured = arm.q.copy()
            tick = arm.tick(sense=event != "blind")
            check_tick(arm, tick)
            if tick.points:
                now = tick.points[0].positions
                start = measured if before is None else before
                assert np.all(np.abs(now - start) <= fastest), (event, tick.record)
                assert np.all(np.abs(tick.points[1].positions - now) <= fastest)
            before = tick.points[0].positions if tick.points else None


def provoke(arm: Arm, event: str, index: int, rng: np.random.Generator) -> None:
    if event == "policy" and index % 5 == 0:
        arm.act(rng.normal(size=6) * 0.01, gripper=float(rng.random()))
    elif event == "wild policy":
        arm.act(rng.normal(size=6) * 10.0, gripper=float(rng.normal()))
    elif event == "nan policy":
        arm.act(np.where(rng.random(6) < 0.5, np.nan, 0.01))
    elif event == "drive":
        arm.drive(rng.normal(size=6))
    elif event == "let go":
        arm.drive(rng.normal(size=6), dead_man=False)
    elif event == "reset" and index == 0:
        arm.go_home(gripper=0.0)
    elif event == "stop":
        arm.core.stop("law")
    elif event == "clear":
        arm.core.clear_stop()
    elif event == "push" and index == 0:
        arm.q = arm.q + rng.normal(size=6) * 0.02  # somebody leans on the arm


def check_tick(arm: Arm, tick: CommandTick) -> None:
    record = tick.record
    assert np.all(np.isfinite(record.executed)) and np.all(np.isfinite(record.proposed))
    assert (record.text == "") == (record.reasons == LimitReason.NONE) or "reset" in record.text
    assert tick.gripper is None or 0.0 <= tick.gripper <= 1.0
    assert (record.source is CommandSource.NONE) == (tick.points == ())
    for point in tick.points:
        assert np.all(np.isfinite(point.positions)) and point.time_from_start_ns > 0
        low = np.minimum(arm.limits.joint_lower_rad, arm.q) - 1e-9
        high = np.maximum(arm.limits.joint_upper_rad, arm.q) + 1e-9
        assert np.all((low <= point.positions) & (point.positions <= high))


def test_the_same_input_gives_the_same_commands_bit_for_bit() -> None:
    def run() -> list[bytes]:
        arm, rng, out = Arm(KINEMATICS), np.random.default_rng(3), []
        for index in range(100):
            if index % 5 == 0:
                arm.act(rng.normal(size=6) * 0.01)
            tick = arm.tick()
            out.append(tick.points[0].positions.tobytes() + tick.record.executed.tobytes())
        return out

    assert run() == run()
