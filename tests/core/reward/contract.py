"""The contract of the reward-model seam, for any back end: subclass it beside a fixture ``model``."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from dopamine_core.errors import ImageError, ModelError
from dopamine_core.frames.codec import encode
from dopamine_core.reward.labelling import BatchSession
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.session import References, RewardModel, RewardSession
from dopamine_core.types import EncodedImage, FramePair, Status

JUNK = EncodedImage(1, "jpeg", b"junk", 1, 1)
MISSING = EncodedImage(0, "", b"", 0, 0)
TOLERANCE = 1e-5  # rounding of float32 in batches of other sizes


def picture(seed: int) -> FramePair:
    """Two smooth random views."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (2, 6, 8, 3), dtype=np.uint8)
    front, wrist = (np.kron(view, np.ones((40, 40, 1), np.uint8)) for view in coarse)
    return FramePair(encode(front, 100 + seed), encode(wrist, 100 + seed))


REFERENCES = References("move the blocks", (picture(1), picture(2)), picture(3))


def run(model: RewardModel, seeds: tuple[int, ...]) -> list[float]:
    """Progress over an episode of pictures."""
    session = model.open(REFERENCES)
    return [session.observe(picture(seed)).progress for seed in seeds]


class RewardModelContract:
    """What nodes and tools rely on."""

    def test_it_names_itself(self, model: RewardModel) -> None:
        assert isinstance(model, RewardModel)
        assert model.model_id.name and model.model_id.sha256
        assert 0.0 < model.success_threshold <= 1.0

    def test_readings_are_whole_and_in_range(self, model: RewardModel) -> None:
        session = model.open(REFERENCES)
        assert isinstance(session, RewardSession) and session.last is None
        for seed in range(10, 20):
            reading = session.observe(picture(seed))
            assert reading.status is Status.OK and reading is session.last
            assert 0.0 <= reading.progress <= 1.0
            assert all(0.0 <= value <= 1.0 for value in reading.reading if not math.isnan(value))
            assert all(abs(hop) <= 1.0 for hop in reading.hop if not math.isnan(hop))
            assert reading.inference_ns > 0

    def test_a_chain_begins_without_progress(self, model: RewardModel) -> None:
        first = model.open(REFERENCES).observe(picture(10)).progress
        assert first == 0.0 or not isinstance(model, PairwiseModel)

    def test_sessions_are_independent_and_repeatable(self, model: RewardModel) -> None:
        alone = [run(model, seeds) for seeds in ((10, 11, 12), (15, 14, 13))]
        one, two = model.open(REFERENCES), model.open(REFERENCES)
        mixed: tuple[list[float], list[float]] = ([], [])
        for a, b in zip((10, 11, 12), (15, 14, 13), strict=True):
            mixed[0].append(one.observe(picture(a)).progress)
            mixed[1].append(two.observe(picture(b)).progress)
        assert list(mixed) == [pytest.approx(one, abs=TOLERANCE) for one in alone]

    def test_peeking_leaves_the_chain(self, model: RewardModel) -> None:
        session = model.open(REFERENCES)
        session.observe(picture(10))
        session.peek(picture(11))
        session.peek(picture(12))
        assert session.observe(picture(13)).progress == pytest.approx(
            run(model, (10, 13))[-1], abs=TOLERANCE
        )

    def test_bytes_that_are_no_image_leave_the_chain(self, model: RewardModel) -> None:
        session = model.open(REFERENCES)
        session.observe(picture(10))
        with pytest.raises(ImageError):
            session.observe(FramePair(JUNK, JUNK))
        assert session.observe(picture(11)).progress == pytest.approx(
            run(model, (10, 11))[-1], abs=TOLERANCE
        )

    def test_a_goal_without_wrist_view_and_a_missing_start_are_allowed(self, model: RewardModel) -> None:
        session = model.open(References("move", (FramePair(picture(1).front, MISSING),)))
        assert session.observe(picture(10)).ok and session.observe(picture(11)).ok

    def test_without_task_or_goal_nothing_is_opened(self, model: RewardModel) -> None:
        for references in (References("", (picture(1),)), References("move", ())):
            with pytest.raises(ModelError):
                model.open(references)

    def test_several_samples_in_one_go_equal_one_by_one(self, model: RewardModel) -> None:
        session = model.open(REFERENCES)
        assert isinstance(session, BatchSession) == hasattr(session, "observe_all")
        if isinstance(session, BatchSession):
            readings = session.observe_all([picture(seed) for seed in (10, 11, 12, 13)])
            alone = run(model, (10, 11, 12, 13))
            assert [r.progress for r in readings] == pytest.approx(alone, abs=TOLERANCE)
            with pytest.raises(ImageError):
                session.observe_all([picture(14), FramePair(JUNK, JUNK)])

    def test_a_task_may_hold_braces_and_marks(self, model: RewardModel) -> None:
        task = "put {x} on {0}, 100 % <image> \N{RIGHTWARDS ARROW} `done`"
        session = model.open(dataclasses.replace(REFERENCES, task=task))
        assert session.observe(picture(10)).ok

    def test_frames_of_other_sizes_and_a_missing_wrist_view(self, model: RewardModel) -> None:
        session = model.open(References("move", (FramePair(picture(1).front, MISSING),)))
        small = encode(np.full((48, 64, 3), 90, np.uint8), 7)
        assert session.observe(FramePair(small, MISSING)).ok
        assert session.observe(picture(10)).ok

