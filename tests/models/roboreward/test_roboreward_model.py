"""RoboReward as a back end: a tiny one that has learned to score dark and bright pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration

from dopamine_core.errors import ConfigError, ImageError, ModelError
from dopamine_core.frames.codec import encode
from dopamine_core.reward.models.roboreward import Config, RoboRewardModel
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.roboreward.engine import Engine, Question
from dopamine_core.reward.roboreward.prompt import own_prompt
from dopamine_core.reward.session import References
from dopamine_core.types import EncodedImage, FramePair, Status
from tests.models.tiny_qwen import write_qwen3

TASK = "put the {blue} block on the red one"
SECOND = 1_000_000_000
SMALL = {"min_pixels": 1024, "max_pixels": 4096, "device": "cpu"}
DARK, BRIGHT = 20, 230
SCORE = {DARK: 2, BRIGHT: 5}
MISSING = EncodedImage(0, "", b"", 0, 0)


def pair(level: int, seconds: float = 1.0) -> FramePair:
    stamp_ns = round(seconds * SECOND)
    front = np.full((48, 64, 3), level, np.uint8)
    front[::8] = 128
    return FramePair(encode(front, stamp_ns), encode(255 - front, stamp_ns))


REFERENCES = References(TASK, (pair(BRIGHT),))
RUN = [pair(DARK, 1), pair(DARK, 2), pair(BRIGHT, 3), pair(DARK, 4), pair(BRIGHT, 5)]


def load(folder: Path, **settings: object) -> RoboRewardModel:
    model = load_reward_model("roboreward", str(folder), settings={**SMALL, **settings})
    assert isinstance(model, RoboRewardModel)
    return model


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen3(tmp_path_factory.mktemp("qwen"), seed=7)


@pytest.fixture(scope="module")
def trained(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that answers by the brightness of the last frame."""
    model = load(untrained)
    scorer = model.scorer
    engine, checkpoint = scorer._engine, scorer._checkpoint
    torch.manual_seed(0)
    network = checkpoint.model.requires_grad_(True).train()
    end = checkpoint.tokenizer.eos_token_id
    clips = [
        [RUN[k] for k in ks]
        for ks in ((0,), (2,), (0, 1), (0, 1, 2), (0, 1, 2, 3), (0, 1, 2, 3, 4))
    ]
    lessons = []
    for clip in clips:
        question = Question(TASK, scorer._video([scorer.encode(seen) for seen in clip]))
        level = BRIGHT if clip[-1] in (RUN[2], RUN[4]) else DARK
        answer = checkpoint.tokenizer(f"ANSWER: {SCORE[level]}", add_special_tokens=False)[
            "input_ids"
        ]
        lessons.append((engine._inputs([question], [*answer, end]), len(answer) + 1))
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    for step in range(120):
        inputs, length = lessons[step % len(lessons)]
        logits = network(**inputs).logits[0, -length - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, inputs["input_ids"][0, -length:])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    folder = tmp_path_factory.mktemp("trained") / "checkpoint"
    shutil.copytree(untrained, folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    network.eval().save_pretrained(folder)
    return folder


def test_written_answers_become_progress(trained: Path) -> None:
    readings = load(trained).open(REFERENCES).observe_all(RUN)
    assert [reading.status for reading in readings] == [Status.OK] * len(RUN)
    assert [reading.progress for reading in readings] == [0.25, 0.25, 1.0, 0.25, 1.0]
    assert [reading.success_probability for reading in readings] == [0.0, 0.0, 1.0, 0.0, 1.0]


def test_expected_scores_lie_near_the_written_ones(trained: Path) -> None:
    readings = load(trained, reading="expected").open(REFERENCES).observe_all(RUN)
    for reading, progress in zip(readings, (0.25, 0.25, 1.0, 0.25, 1.0), strict=True):
        assert reading.status is Status.OK
        assert reading.progress == pytest.approx(progress, abs=0.1)
        assert (reading.success_probability > 0.5) == (progress == 1.0)
        assert 0.0 <= reading.uncertainty <= 0.5


@pytest.mark.parametrize("reading", ["written", "expected"])
def test_growing_prefixes_in_one_batch_are_answered_as_one_at_a_time(
    trained: Path, reading: str
) -> None:
    model = load(trained, reading=reading, at_once=3)
    together = model.open(REFERENCES).observe_all(RUN)
    session = model.open(REFERENCES)
    for both, seen in zip(together, RUN, strict=True):
        alone = session.observe(seen)
        assert both.status is alone.status
        assert both.progress == pytest.approx(alone.progress, abs=1e-5)
        assert both.success_probability == pytest.approx(alone.success_probability, abs=1e-5)


def test_scores_have_the_probability_of_their_whole_answer(untrained: Path) -> None:
    scorer = load(untrained).scorer
    engine = scorer._engine
    questions = [
        Question(task, scorer._video([scorer.encode(seen) for seen in RUN[:count]]))
        for task, count in ((TASK, 1), ("lift it", 3), (TASK, 5))
    ]
    for question, weighed in zip(questions, engine.weigh(questions), strict=True):
        whole = [_log_probability(untrained, engine, question, f"ANSWER: {k}") for k in range(1, 6)]
        assert weighed.mass == pytest.approx(float(torch.stack(whole).exp().sum()), rel=1e-3)
        assert weighed.scores == pytest.approx(
            torch.softmax(torch.stack(whole), 0).tolist(), abs=1e-5
        )


def _log_probability(folder: Path, engine: Engine, question: Question, answer: str) -> torch.Tensor:
    """Of a whole answer, by a plain forward pass over all of it."""
    model = Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = own_prompt().text.replace("{task}", question.task)
    text = f"<|im_start|>user\n{question.video.text}{words}<|im_end|>\n<|im_start|>assistant\n"
    tail = tokenizer(answer, add_special_tokens=False)["input_ids"]
    ids = torch.tensor([[*tokenizer(text, add_special_tokens=False)["input_ids"], *tail]])
    with torch.no_grad():
        logits = model(
            input_ids=ids,
            mm_token_type_ids=(ids == tokenizer.convert_tokens_to_ids("<|video_pad|>")).long() * 2,
            pixel_values_videos=question.video.pixels,
            video_grid_thw=torch.tensor([question.video.grid]),
        ).logits[0, -len(tail) - 1 : -1]
    return torch.log_softmax(logits, -1)[torch.arange(len(tail)), tail].sum()


def test_what_is_no_answer_is_no_reading(untrained: Path) -> None:
    for reading in ("written", "expected"):
        session = load(untrained, reading=reading).open(REFERENCES)
        got = session.observe(RUN[0])
        assert got.status is Status.INVALID_HOP and "ANSWER: 1 ... 5" in got.text
        assert np.isnan(got.progress) and np.isnan(got.success_probability)


def test_a_lost_answer_holds_the_last_one(trained: Path) -> None:
    session = load(trained).open(REFERENCES)
    assert session.observe(RUN[0]).progress == 0.25
    session._scorer._checkpoint.model.model.language_model.norm.weight.zero_()
    held = session.observe(RUN[2])
    assert held.status is Status.INVALID_HOP and held.progress == 0.25


def test_the_camera_that_is_asked_for_is_shown(trained: Path) -> None:
    front = load(trained).open(REFERENCES).observe(RUN[2])
    wrist = load(trained, camera="wrist").open(REFERENCES).observe(RUN[2])
    assert (front.progress, wrist.progress) == (1.0, 0.25)
    with pytest.raises(ImageError, match="wrist"):
        load(trained, camera="wrist").open(REFERENCES).observe(FramePair(RUN[0].front, MISSING))


def test_success_is_the_probability_of_the_highest_score(trained: Path) -> None:
    model = load(trained)
    assert model.success_signal == "probability" and model.success_threshold == 0.5
    assert model.model_id.name == "roboreward+own" and not model.fast
    assert load(trained, reading="expected").model_id.sha256 != model.model_id.sha256


def test_a_task_with_control_tokens_is_refused(untrained: Path) -> None:
    with pytest.raises(ModelError, match="control tokens"):
        load(untrained).open(References("stack <|video_pad|>", (RUN[0],)))


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="prompt_file"):
        Config(prompt="file")
    with pytest.raises(ConfigError, match="min_pixels at most max_pixels"):
        Config(min_pixels=9000, max_pixels=8000)
