"""What the server answers: every kind of model, over real HTTP, to bytes that our client did not write."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from dopamine_core.errors import ImageError, ModelError
from dopamine_core.frames.codec import encode
from dopamine_core.reward.clips import ClipRewardModel
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.serving.evaluation import Evaluator, preference_of
from dopamine_core.reward.session import HopAnswer, HopQuery, References
from dopamine_core.reward.wire.request import to_form
from dopamine_core.reward.wire.values import (
    Batch,
    FrameAnswer,
    PreferenceSample,
    ProgressSample,
    Trajectory,
)
from dopamine_core.types import EncodedImage, FramePair, Reading, Status
from tests.core.reward.tiny_nano import drawing
from tests.core.reward.toy_model import BarModel, bar_pair
from tests.models.serving.served import (
    REFERENCES,
    TASK,
    ask,
    bars,
    bright,
    official_form,
    progress,
    serve,
)

SHARES = (0.0, 0.25, 0.75, 0.5)


def post(url: str, batch: Batch) -> dict:
    fields, files = to_form(batch)
    response = httpx.post(f"{url}/evaluate_batch_npy", data=fields, files=files, timeout=20.0)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_clip_model_answers_every_frame() -> None:
    model = bright()
    with serve(model) as url:
        reply = ask(url, bars(*SHARES)).json()
    assert reply["outputs_progress"]["progress_pred"][0] == pytest.approx(SHARES, abs=0.01)
    assert reply["outputs_success"]["success_probs"][0] == pytest.approx(
        [share**2 for share in SHARES], abs=0.01
    )
    assert reply["outputs_preference"] is None
    assert reply["model"] == {"name": "bright", "sha256": "b1", "adapted": False}
    assert model.scorer.frames == [1, 2, 3, 4]  # growing prefixes


def test_a_pairwise_model_answers_every_frame_and_no_success() -> None:
    with serve(PairwiseModel(BarModel()), REFERENCES) as url:
        reply = ask(url, bars(*SHARES)).json()
    assert reply["outputs_progress"]["progress_pred"][0] == pytest.approx(SHARES, abs=0.02)
    assert reply["outputs_success"] is None


def test_json_is_answered_as_npy_is() -> None:
    frames = bars(*SHARES)[:, ::4, ::4]
    sample = {
        "sample_type": "progress",
        "trajectory": {"frames": frames.tolist(), "task": TASK, "id": "0"},
    }
    body = {"samples": [sample], "use_frame_steps": True}
    with serve(bright()) as url:
        response = httpx.post(f"{url}/evaluate_batch", json=body)
        assert progress(response) == progress(ask(url, frames))


def test_a_served_nano_answers_as_a_session_does(tiny_nano) -> None:
    frames = np.stack([drawing(share) for share in (0.0, 0.3, 0.6, 1.0)])
    goal, start = encode(drawing(1.0), 1), encode(drawing(0.0), 1)
    references = References("move it", (FramePair(goal, goal),), FramePair(start, start))
    with serve(load_reward_model("nano", str(tiny_nano)), references) as url:
        answered = progress(ask(url, frames, "Move it."))
    gone = EncodedImage(1, "jpeg", b"", 48, 36)
    alone = References("move it", (FramePair(goal, gone),), FramePair(start, gone))
    session = load_reward_model("nano", str(tiny_nano)).open(alone)
    expected = [session.observe(FramePair(encode(frame, 1), gone)).progress for frame in frames]
    assert answered == pytest.approx(expected, abs=1e-6)


class SeeingModel(BarModel):
    """Notes which views each pair had."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def encode(self, pair: FramePair) -> float:
        self.seen.append(bool(pair.wrist.data))
        return super().encode(pair)


@pytest.mark.parametrize("wrist", [False, True])
def test_the_wrist_view_is_missing_everywhere_or_there_everywhere(wrist: bool) -> None:
    hops = SeeingModel()
    with serve(PairwiseModel(hops), REFERENCES) as url:
        hops.seen.clear()
        frames = bars(0.0, 0.3)
        trajectory = Trajectory(frames, TASK, wrist_frames=frames if wrist else None)
        post(url, Batch((ProgressSample(trajectory),)))
    assert set(hops.seen) == {wrist}


def test_goals_may_come_with_the_request() -> None:
    trajectory = Trajectory(bars(0.0, 0.25), "another task", goal_frames=bars(0.5))
    with serve(PairwiseModel(BarModel()), goals_in_requests=True) as url:
        reply = post(url, Batch((ProgressSample(trajectory),)))
        assert reply["outputs_progress"]["progress_pred"][0] == pytest.approx([0.0, 0.5], abs=0.02)
        without = ask(url, bars(0.0, 0.25))
    assert without.status_code == 400 and "goal_frames" in without.json()["error"]["expected"]


def test_a_pairwise_model_without_goals_is_refused_at_the_start() -> None:
    with pytest.raises(ModelError, match="--references"):
        Evaluator(PairwiseModel(BarModel()))


def test_references_that_cannot_be_used_are_found_at_the_start() -> None:
    junk = EncodedImage(1, "jpeg", b"junk", 1, 1)
    with pytest.raises(ImageError):
        Evaluator(PairwiseModel(BarModel()), References(TASK, (FramePair(junk, junk),)))


def test_another_task_than_the_goals_show_is_refused_unless_allowed() -> None:
    frames = bars(0.0, 0.5)
    with serve(PairwiseModel(BarModel()), REFERENCES) as url:
        assert ask(url, frames, "  Fill the BAR. ").status_code == 200
        assert ask(url, frames, "").status_code == 200
        refused = ask(url, frames, "empty the bar")
    assert refused.status_code == 400 and "--any-task" in refused.json()["error"]["remedy"]
    with serve(PairwiseModel(BarModel()), REFERENCES, any_task=True) as url:
        assert ask(url, frames, "empty the bar").status_code == 200


def test_a_clip_model_needs_a_task() -> None:
    with serve(bright()) as url:
        response = ask(url, bars(0.5), " ")
    assert response.status_code == 400 and "task" in response.json()["error"]["expected"]


class PickyModel(ClipRewardModel):
    """Refuses tasks with a bracket, as models with control tokens do."""

    def open(self, references: References):
        if "<" in references.task:
            raise ModelError(expected="plain words", got=references.task, remedy="leave it out")
        return super().open(references)


def test_a_task_that_the_model_refuses_is_the_clients_fault() -> None:
    with serve(PickyModel(bright().scorer)) as url:
        response = ask(url, bars(0.5), "<|end|>")
        assert response.status_code == 400 and "plain words" in response.text
        assert ask(url, bars(0.5), "plain").status_code == 200


def test_only_the_last_frame_may_be_asked_for() -> None:
    model = bright()
    with serve(model) as url:
        trajectory = Trajectory(bars(*SHARES), TASK, last_only=True)
        head = post(url, Batch((ProgressSample(trajectory),)))["outputs_progress"]
    assert head["progress_pred"][0][:-1] == [None] * 3
    assert head["progress_pred"][0][-1] == pytest.approx(0.5, abs=0.01)
    assert head["statuses"][0][0].startswith("NOT_ASKED") and head["statuses"][0][-1] == "OK"
    assert model.scorer.sizes == [1]


@pytest.mark.parametrize("task", ["unreadable", "absurd"])
def test_what_cannot_be_read_is_null_and_says_why(task: str) -> None:
    with serve(bright()) as url:
        head = ask(url, bars(0.5), task).json()["outputs_progress"]
    assert head["progress_pred"] == [[None]]
    assert head["statuses"][0][0].startswith("INVALID_HOP: ")


class MutteringModel(BarModel):
    """Gives no number once the bar is half full."""

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        mute = HopAnswer(Status.INVALID_HOP, text="mumble")
        answers = super().hops(queries)
        return [mute if q.after > 0.5 else a for q, a in zip(queries, answers, strict=True)]


def test_an_invalid_hop_is_null_and_not_what_is_held() -> None:
    with serve(PairwiseModel(MutteringModel()), REFERENCES) as url:
        head = ask(url, bars(0.0, 0.3, 0.7)).json()["outputs_progress"]
    assert head["progress_pred"][0][2] is None and "mumble" in head["statuses"][0][2]


def duel(chosen: float, rejected: float) -> PreferenceSample:
    return PreferenceSample(
        Trajectory(bars(0.0, chosen), TASK), Trajectory(bars(0.0, 0.9, rejected), TASK)
    )


@pytest.mark.parametrize("model", [bright, lambda: PairwiseModel(BarModel())])
def test_preferences_compare_the_last_frames(model) -> None:
    batch = Batch((duel(0.8, 0.2), duel(0.2, 0.8), duel(0.5, 0.5)))
    with serve(model(), REFERENCES) as url:
        reply = post(url, batch)
    head = reply["outputs_preference"]
    assert head["predictions"] == [1, 0, 0] and head["prediction_probs"] == [1.0, 0.0, 0.5]
    assert reply["outputs_progress"] is None and reply["outputs_success"] is None


class ComparingModel(ClipRewardModel):
    """Has a preference head of its own."""

    def preference(self, task, chosen, rejected) -> float:
        return 0.25 + len(chosen) / 100


def test_a_models_own_preference_is_taken() -> None:
    model = ComparingModel(bright().scorer)
    batch = Batch((duel(0.8, 0.2), ProgressSample(Trajectory(bars(0.5), TASK))))
    with serve(model) as url:
        reply = post(url, batch)
    assert reply["outputs_preference"]["prediction_probs"] == [0.27]
    assert len(reply["outputs_progress"]["progress_pred"]) == 1
    assert model.scorer.sizes == [1]  # nothing was scored for the duel


@pytest.mark.parametrize(
    ("gap", "spread", "expected"),
    [(0.1, 0.1, 0.8413), (-0.1, 0.1, 0.1587), (0.0, 0.3, 0.5), (0.2, 0.0, 1.0), (0.0, 0.0, 0.5)],
)
def test_uncertain_preferences_follow_the_normal_law(gap, spread, expected) -> None:
    answers = [
        FrameAnswer(value, uncertainty=spread / math.sqrt(2.0)) for value in (0.5 + gap, 0.5)
    ]
    assert preference_of(*answers).probability == pytest.approx(expected, abs=1e-4)


def test_a_preference_without_a_reading_is_none() -> None:
    answer = preference_of(FrameAnswer(0.5), FrameAnswer(text="mumble"))
    assert math.isnan(answer.probability) and answer.text == "mumble"


def test_waiting_requests_are_answered_together_and_alike() -> None:
    shares = [0.1, 0.3, 0.5, 0.7, 0.9]
    alone, together = bright(), bright(delay_s=0.2)
    with serve(alone) as url:
        expected = [progress(ask(url, bars(0.0, share))) for share in shares]
    with serve(together) as url, ThreadPoolExecutor(len(shares)) as pool:
        answers = list(pool.map(lambda share: progress(ask(url, bars(0.0, share))), shares))
    assert answers == expected
    assert len(together.scorer.sizes) < len(shares) and max(together.scorer.sizes) > 2
    assert sum(together.scorer.sizes) == 2 * len(shares)


def test_the_batch_of_a_clip_model_is_limited() -> None:
    model = bright()
    with serve(model, batch=3) as url:
        progress(ask(url, bars(*[0.1] * 8)))
    assert model.scorer.sizes == [3, 3, 2]


class CountingModel(BarModel):
    """Notes how many questions it is asked at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        self.sizes.append(len(queries))
        return super().hops(queries)


def test_a_session_that_takes_several_frames_is_given_them_and_answers_alike() -> None:
    runs = {}
    for batch in (1, 4):
        hops = CountingModel()
        with serve(PairwiseModel(hops), REFERENCES, batch=batch) as url:
            runs[batch] = progress(ask(url, bars(*[k / 10 for k in range(10)])))
        assert len(hops.sizes) == math.ceil(10 / batch)
    assert runs[1] == runs[4]


class OneByOneModel:
    """A model of another kind: its sessions take one frame at a time and say what they are told to."""

    model_id, fast, success_threshold, success_signal = BarModel.model_id, True, 0.9, "progress"

    def __init__(self, *progress: float) -> None:
        self._progress = progress

    def open(self, references: References) -> OneByOneModel:
        self.last, self._left = None, iter(self._progress)
        return self

    def observe(self, pair: FramePair) -> Reading:
        return Reading(Status.OK, progress=next(self._left))


def test_a_model_of_another_kind_is_checked() -> None:
    with serve(OneByOneModel(0.25, 7.0), REFERENCES) as url:
        head = ask(url, bars(0.0, 0.5)).json()["outputs_progress"]
    assert head["progress_pred"] == [[0.25, None]]
    assert "7.0" in head["statuses"][0][1]


def test_two_clients_of_a_pairwise_model_do_not_mix() -> None:
    runs = [(0.0, 0.2, 0.4), (0.0, 0.9, 0.6)]
    with serve(PairwiseModel(BarModel()), REFERENCES) as url, ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda run: progress(ask(url, bars(*run))), runs * 3))
    for answer, run in zip(answers, runs * 3, strict=True):
        assert answer == pytest.approx(run, abs=0.02)


def test_model_info_says_what_is_served_and_stays_the_same() -> None:
    with serve(PairwiseModel(BarModel()), REFERENCES) as url:
        first = httpx.get(f"{url}/model_info").json()
        ask(url, bars(0.0, 0.5))
        assert httpx.get(f"{url}/model_info").json() == first
    assert first["model"]["name"] == "bar"
    assert first["experiment_config"]["task"] == TASK
    other = References(TASK, (bar_pair(0.9),))
    with serve(PairwiseModel(BarModel()), other) as url:
        assert httpx.get(f"{url}/model_info").json() != first


def test_the_words_of_the_official_server_are_there() -> None:
    with serve(bright()) as url:
        health = httpx.get(f"{url}/health").json()
        status = httpx.get(f"{url}/gpu_status").json()
        info = httpx.get(f"{url}/model_info").json()
    assert health["status"] == "healthy"
    assert {"available_gpus", "total_gpus"} <= health.keys()
    assert {"total_gpus", "available_gpus", "max_workers", "gpu_stats", "pool_size"} == status.keys()
    assert {"model_path", "num_gpus", "experiment_config", "model_architecture"} <= info.keys()


def test_other_keys_of_a_sample_change_nothing() -> None:
    fields, files = official_form(bars(0.5), lang_vector=[0.1], quality_label="successful")
    sample = json.loads(fields["sample_0"]) | {"resample_attempts": 1}
    fields["sample_0"] = json.dumps(sample)
    with serve(bright()) as url:
        response = httpx.post(f"{url}/evaluate_batch_npy", data=fields, files=files)
    assert progress(response) == pytest.approx([0.5], abs=0.01)
