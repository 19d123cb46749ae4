"""The monitor lane: always an answer, never an exception."""

import math

from dopamine_core.reward.monitor import MonitorLane
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.session import References
from dopamine_core.types import EncodedImage, FramePair, Status
from tests.core.reward.toy_model import BarModel, bar_pair

JUNK = EncodedImage(1, "jpeg", b"junk", 1, 1)
REFERENCES = References("fill", (bar_pair(1.0),))


def test_missing_task_and_model_are_told() -> None:
    lane = MonitorLane()
    assert lane.look(bar_pair(0.0)).status is Status.NO_TASK
    lane.restart(None, REFERENCES, "no model")
    reading = lane.look(bar_pair(0.0))
    assert (reading.status, reading.text) == (Status.MODEL_ERROR, "no model")
    lane.restart(PairwiseModel(BarModel()), None, "no task")
    assert lane.look(bar_pair(0.0)).text == "no task"
    lane.restart(PairwiseModel(BarModel()), References("fill", (FramePair(JUNK, JUNK),)), "")
    assert lane.look(bar_pair(0.0)).status is Status.MODEL_ERROR


def test_progress_holds_over_bad_frames_and_starts_anew() -> None:
    lane = MonitorLane()
    lane.restart(PairwiseModel(BarModel()), REFERENCES, "")
    lane.look(bar_pair(0.0))
    half = lane.look(bar_pair(0.5))
    bad = lane.look(FramePair(JUNK, JUNK))
    assert bad.status is Status.BAD_IMAGE and bad.progress == half.progress
    assert lane.blind(Status.SKEW, "apart").progress == half.progress
    lane.restart(PairwiseModel(BarModel()), REFERENCES, "")
    assert math.isnan(lane.blind(Status.SKEW, "apart").progress)


def test_a_session_that_could_not_be_opened_is_tried_again() -> None:
    lane, model = MonitorLane(), PairwiseModel(BarModel())
    opened = model.open

    def refuse(references: References):  # noqa: ANN202
        raise RuntimeError("no answer from the server")

    model.open = refuse  # type: ignore[method-assign]
    lane.restart(model, REFERENCES, "")
    assert lane.look(bar_pair(0.0)).text == "RuntimeError: no answer from the server"
    model.open = opened  # type: ignore[method-assign]
    assert lane.look(bar_pair(0.0)).ok
