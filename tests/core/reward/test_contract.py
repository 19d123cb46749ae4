"""The contract of the reward-model seam, over every back end that can be loaded without a download."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dopamine_core.errors import ImageError, ModelError
from dopamine_core.frames.codec import encode
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.session import References, RewardModel, RewardSession
from dopamine_core.types import EncodedImage, FramePair, Status
from tests.core.reward.tiny_qwen import write_qwen2_5, write_qwen3
from tests.core.reward.toy_model import BarModel

MODELS: dict[str, Callable[[Path], RewardModel]] = {
    "bar": lambda folder: PairwiseModel(BarModel()),
    "nano": lambda folder: load_reward_model("nano"),
    "grm on qwen2.5": lambda folder: grm(write_qwen2_5(folder)),
    "grm on qwen3": lambda folder: grm(write_qwen3(folder)),
}
JUNK = EncodedImage(1, "jpeg", b"junk", 1, 1)
MISSING = EncodedImage(0, "", b"", 0, 0)


def grm(checkpoint: Path) -> RewardModel:
    """Random weights put next to no probability on score strings: any share counts."""
    settings = {"path": str(checkpoint), "min_mass": 0.0, "max_pixels": 12544}
    return load_reward_model("grm", settings=settings)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RewardModel:
    return MODELS[request.param](tmp_path_factory.mktemp("model"))


def picture(seed: int) -> FramePair:
    """Two smooth random views."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (2, 6, 8, 3), dtype=np.uint8)
    front, wrist = (np.kron(view, np.ones((40, 40, 1), np.uint8)) for view in coarse)
    return FramePair(encode(front, 100 + seed), encode(wrist, 100 + seed))


REFERENCES = References("move the blocks", (picture(1), picture(2)), picture(3))


def test_it_names_itself(model: RewardModel) -> None:
    assert isinstance(model, RewardModel)
    assert model.model_id.name and model.model_id.sha256
    assert 0.0 < model.success_threshold <= 1.0


def test_readings_are_whole_and_in_range(model: RewardModel) -> None:
    session = model.open(REFERENCES)
    assert isinstance(session, RewardSession) and session.last is None
    for seed in range(10, 20):
        reading = session.observe(picture(seed))
        assert reading.status is Status.OK and reading is session.last
        assert 0.0 <= reading.progress <= 1.0
        assert all(0.0 <= value <= 1.0 for value in reading.reading)
        assert all(abs(hop) <= 1.0 for hop in reading.hop if not math.isnan(hop))
        assert reading.inference_ns > 0


def test_the_first_frame_has_no_progress(model: RewardModel) -> None:
    assert model.open(REFERENCES).observe(picture(10)).progress == 0.0


def test_sessions_are_independent_and_repeatable(model: RewardModel) -> None:
    alone = [_run(model, seeds) for seeds in ((10, 11, 12), (15, 14, 13))]
    one, two = model.open(REFERENCES), model.open(REFERENCES)
    mixed: tuple[list[float], list[float]] = ([], [])
    for a, b in zip((10, 11, 12), (15, 14, 13), strict=True):
        mixed[0].append(one.observe(picture(a)).progress)
        mixed[1].append(two.observe(picture(b)).progress)
    assert list(mixed) == alone


def test_peeking_leaves_the_chain(model: RewardModel) -> None:
    session = model.open(REFERENCES)
    session.observe(picture(10))
    session.peek(picture(11))
    session.peek(picture(12))
    assert session.observe(picture(13)).progress == _run(model, (10, 13))[-1]


def test_bytes_that_are_no_image_leave_the_chain(model: RewardModel) -> None:
    session = model.open(REFERENCES)
    session.observe(picture(10))
    with pytest.raises(ImageError):
        session.observe(FramePair(JUNK, JUNK))
    assert session.observe(picture(11)).progress == _run(model, (10, 11))[-1]


def test_a_goal_without_wrist_view_and_a_missing_start_are_allowed(model: RewardModel) -> None:
    session = model.open(References("move", (FramePair(picture(1).front, MISSING),)))
    assert session.observe(picture(10)).ok and session.observe(picture(11)).ok


def test_without_task_or_goal_nothing_is_opened(model: RewardModel) -> None:
    for references in (References("", (picture(1),)), References("move", ())):
        with pytest.raises(ModelError):
            model.open(references)


def _run(model: RewardModel, seeds: tuple[int, ...]) -> list[float]:
    session = model.open(REFERENCES)
    return [session.observe(picture(seed)).progress for seed in seeds]
