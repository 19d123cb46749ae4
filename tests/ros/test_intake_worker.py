"""The reward node's intake thread: whatever a camera's message provokes, the next good pair goes through."""

from __future__ import annotations

import numpy as np

from dopamine_core.frames.buffer import FrameBuffer
from dopamine_core.frames.intake import Intake
from dopamine_core.types import FramePair
from dopamine_reward_node.intake_worker import IntakeWorker
from tests.ros.command_graph import wait_until
from tests.ros.reward_graph import image_msg

S = 1_000_000_000


def test_a_message_that_breaks_the_conversion_is_told_and_the_next_pair_is_made() -> None:
    pairs: list[FramePair] = []
    told: list[str] = []
    worker = IntakeWorker(Intake(), FrameBuffer(5.0), pairs.append, told.append)
    worker.start()
    worker.put("front", object(), S)
    wait_until(lambda: bool(told), "a complaint", 10.0)
    assert "camera 'front'" in told[0]
    for camera in ("front", "wrist"):
        worker.put(camera, image_msg(np.zeros((48, 64, 3), np.uint8), S), S)
    wait_until(lambda: bool(pairs), "a pair", 10.0)
    worker.stop()
