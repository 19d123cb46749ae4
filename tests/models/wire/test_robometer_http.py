"""The client back end against stand-ins of the official servers, against our own, and against faulty ones."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dopamine_core.errors import ConfigError, ImageError, ModelError
from dopamine_core.frames.codec import encode
from dopamine_core.reward.models.robometer_http import RobometerHttp
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.session import PROBABILITY, References, RewardModel
from dopamine_core.types import EncodedImage, FramePair, Status
from tests.core.reward.toy_model import BarModel, bar_image, bar_pair
from tests.models.serving.served import REFERENCES, TASK, bright, serve
from tests.models.wire.fake_robometer import INFO, Asked, baseline, fake, lasting, official

SMALL = {"short_edge": 48, "retries": 2, "backoff_s": 0.01, "deadline_s": 5.0}
MISSING = EncodedImage(0, "", b"", 0, 0)


def client(url: str, **settings: Any) -> RobometerHttp:
    model = load_reward_model("robometer_http", url, settings={**SMALL, **settings})
    assert isinstance(model, RobometerHttp)
    return model


def read(model: RewardModel, *shares: float) -> list:
    session = model.open(REFERENCES)
    return [session.observe(bar_pair(share, k + 1)) for k, share in enumerate(shares)]


@pytest.mark.parametrize("shape", [official, baseline])
def test_progress_and_success_are_those_of_the_last_frame(shape: Callable) -> None:
    with fake(shape) as server:
        readings = read(client(server.url), 0.0, 0.5, 0.25)
    assert [r.status for r in readings] == [Status.OK] * 3
    assert [r.progress for r in readings] == pytest.approx([0.0, 0.5, 0.25], abs=0.01)
    assert [r.success_probability for r in readings] == pytest.approx([0.0, 0.25, 0.0625], abs=0.01)


def test_a_clip_is_eight_frames_of_everything_so_far_and_filled_with_the_last() -> None:
    with fake() as server:
        read(client(server.url), *[k / 10 for k in range(11)])
        first, last = server.asked[0].frames(0), server.asked[-1].frames(0)
    assert first.shape == last.shape == (8, 48, 64, 3) and last.dtype == np.uint8
    assert np.array_equal(first, first[:1].repeat(8, axis=0))
    shares = last.mean(axis=(1, 2, 3)) / 255.0
    assert shares == pytest.approx([0.0, 0.1, 0.3, 0.4, 0.6, 0.7, 0.9, 1.0], abs=0.02)


def test_the_sample_is_worded_as_the_official_client_words_it() -> None:
    with fake() as server:
        read(client(server.url, pad=False, window="trailing", frames=2), 0.0, 0.5, 1.0)
    asked = server.asked[-1]
    trajectory = asked.samples[0]["trajectory"]
    assert asked.samples[0]["sample_type"] == "progress" and asked.use_frame_steps == "false"
    assert trajectory["frames"] == {"__numpy_file__": "sample_0_trajectory_frames"}
    assert trajectory["frames_shape"] == [2, 48, 64, 3] and trajectory["task"] == TASK
    assert trajectory["metadata"]["subsequence_length"] == 2
    assert set(asked.arrays) == {"sample_0_trajectory_frames"}


def test_the_defaults_are_the_published_ones() -> None:
    with fake() as server:
        model = load_reward_model("robometer_http", server.url)
        frame = FramePair(encode(bar_image(0.5, 640, 480), 1), MISSING)
        model.open(REFERENCES).observe(frame)
    assert (model.success_threshold, model.success_signal, model.fast) == (0.65, PROBABILITY, False)
    assert server.asked[0].frames(0).shape == (8, 240, 320, 3)


@pytest.mark.parametrize(
    ("camera", "expected"), [("front", [0.25]), ("wrist", [0.75]), ("both", [0.25, 0.75])]
)
def test_the_camera_is_chosen(camera: str, expected: list[float]) -> None:
    pair = FramePair(encode(bar_image(0.25), 1), encode(bar_image(0.75), 1))
    with fake() as server:
        reading = client(server.url, camera=camera).open(REFERENCES).observe(pair)
    sent = [server.asked[0].frames(k).mean() / 255.0 for k in range(len(expected))]
    assert sent == pytest.approx(expected, abs=0.02)
    assert reading.progress == pytest.approx(np.mean(expected), abs=0.01)
    assert reading.success_probability == pytest.approx(np.mean(np.square(expected)), abs=0.01)


def test_a_camera_that_gives_nothing_is_an_error_and_nothing_is_kept() -> None:
    with fake() as server:
        session = client(server.url, camera="both").open(REFERENCES)
        with pytest.raises(ImageError, match="wrist"):
            session.observe(FramePair(bar_pair(0.5).front, MISSING))
        assert session.observe(bar_pair(0.5)).ok
    assert np.ptp(server.asked[0].frames(0).mean(axis=(1, 2, 3))) == 0.0


def test_several_samples_go_in_few_requests_of_equal_clips() -> None:
    with fake() as server:
        model = client(server.url, at_once=4)
        pairs = [bar_pair(k / 10, k + 1) for k in range(10)]
        together = model.open(REFERENCES).observe_all(pairs)
        assert [len(asked.samples) for asked in server.asked] in ([4, 4, 2], [4, 2, 4], [2, 4, 4])
        for asked in server.asked:
            assert len({asked.frames(k).shape for k in range(len(asked.samples))}) == 1
        one_by_one = read(model, *[k / 10 for k in range(10)])
    assert [r.progress for r in together] == [r.progress for r in one_by_one]


def test_clips_that_are_not_filled_are_grouped_by_length() -> None:
    with fake() as server:
        pairs = [bar_pair(k / 10, k + 1) for k in range(4)]
        readings = client(server.url, pad=False).open(REFERENCES).observe_all(pairs)
    assert sorted(len(asked.frames(0)) for asked in server.asked) == [1, 2, 3, 4]
    assert [r.progress for r in readings] == pytest.approx([0.0, 0.1, 0.2, 0.3], abs=0.02)


def test_a_preference_is_asked_of_the_server() -> None:
    low, high = [bar_pair(0.0, 1), bar_pair(0.2, 2)], [bar_pair(0.0, 1), bar_pair(0.9, 2)]
    with fake() as server:
        model = client(server.url)
        assert (model.preference(TASK, high, low), model.preference(TASK, low, high)) == (1.0, 0.0)
        assert server.asked[0].samples[0]["sample_type"] == "preference"
        with pytest.raises(ModelError, match="at least one"):
            model.preference(TASK, [], low)
        server.answer = lambda asked: {"outputs_preference": {"prediction_probs": [None]}}
        with pytest.raises(ModelError):
            model.preference(TASK, high, low)


def test_against_our_own_server_everything_comes_back() -> None:
    with serve(bright()) as url:
        readings = read(client(url), 0.0, 0.5, 1.0)
        low, high = [bar_pair(0.1)], [bar_pair(0.9)]
        assert client(url).preference(TASK, high, low) == 1.0
    assert [r.progress for r in readings] == pytest.approx([0.0, 0.5, 1.0], abs=0.01)
    assert readings[1].success_probability == pytest.approx(0.25, abs=0.01)


def test_our_own_server_scores_one_clip_for_one_sample() -> None:
    model = bright()
    with serve(model) as url:
        read(client(url), 0.0, 0.5)
    assert model.scorer.sizes == [1, 1]


def test_with_the_extensions_a_pairwise_server_needs_no_goals_of_its_own() -> None:
    settings = {"extensions": True, "success_signal": "progress"}
    with serve(PairwiseModel(BarModel()), goals_in_requests=True) as url:
        readings = read(client(url, **settings), 0.0, 0.4, 0.8)
        blind = client(url, success_signal="progress").open(REFERENCES).observe(bar_pair(0.4))
    assert [r.progress for r in readings] == pytest.approx([0.0, 0.4, 0.8], abs=0.02)
    assert blind.status is Status.MODEL_ERROR and "goal_frames" in blind.text


def test_the_extensions_carry_both_cameras_where_they_are_there() -> None:
    goals = (bar_pair(1.0), FramePair(bar_pair(1.0).front, MISSING))
    with fake() as server:
        session = client(server.url, extensions=True).open(References(TASK, goals, bar_pair(0.0)))
        session.observe(bar_pair(0.5))
        session.observe(FramePair(bar_pair(0.5).front, MISSING))
    names = [{name.removeprefix("sample_0_trajectory_") for name in a.arrays} for a in server.asked]
    assert names[0] == {"frames", "wrist_frames", "goal_frames", "start_frames", "start_wrist_frames"}
    assert names[1] == names[0] - {"wrist_frames"}


def test_success_that_is_not_given_is_said_and_not_guessed() -> None:
    def without(asked: Asked) -> Any:
        return official(asked) | {"outputs_success": None}

    with fake(without) as server:
        [reading] = read(client(server.url), 0.5)
        assert reading.status is Status.INVALID_HOP and "success_signal: progress" in reading.text
        [reading] = read(client(server.url, success_signal="progress"), 0.5)
    assert reading.ok and math.isnan(reading.success_probability)


def reply(progress: Any, success: Any = None) -> dict[str, Any]:
    success = [[0.5] * 8] if success is None else success
    head = {"progress_pred": progress}
    return {"outputs_progress": head, "outputs_success": {"success_probs": success}}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply([[0.5] * 7 + [1.5]]), "expected progress in [0, 1]"),
        (reply([[0.5] * 7 + [float("nan")]]), "expected progress in [0, 1]"),
        (reply([[0.5] * 7 + [None]]), "expected progress in [0, 1]"),
        (reply([[0.5] * 8], [[0.5] * 7 + [2.0]]), "expected success in [0, 1]"),
        (reply([[0.5] * 7]), "one for each frame"),
        (reply([[0.5] * 8] * 2), "one for each frame"),
        (reply([]), "one for each frame"),
        ({"outputs_progress": None}, "outputs_progress as a mapping"),
        ([], "mapping"),
        ((200, {}, b"<html>"), "no JSON"),
        ((200, {}, b"[" * 100_000), "no JSON"),
        ((200, {}, b" " * 2_000_000), "1000000 bytes"),
        ((400, {}, b'{"detail": "expected a task"}'), "expected a task"),
        ((302, {"Location": "http://127.0.0.1:9/"}, b""), "redirect"),
        ((500, {}, b"Internal Server Error"), "status 500"),
        ((200, {"Content-Length": "500"}, b"{"), "whole answer"),
    ],
)
def test_a_faulty_answer_is_no_reading_and_says_why(answer: Any, words: str) -> None:
    with fake(lambda asked: answer) as server:
        session = client(server.url, retries=0, deadline_s=2.0).open(REFERENCES)
        reading = session.observe(bar_pair(0.5))
        # A value out of range is no reading; a reply that cannot be taken apart is the server's fault.
        value = words.endswith("[0, 1]")
        assert reading.status is (Status.INVALID_HOP if value else Status.MODEL_ERROR)
        assert words in reading.text and math.isnan(reading.progress)
        server.answer = official
        assert session.observe(bar_pair(0.5)).ok


def test_a_fault_that_passes_is_asked_again_when_the_server_says() -> None:
    faults = [(503, {"Retry-After": "0.2"}, b"full"), (502, {}, b"")]
    with fake(lambda asked: faults.pop(0) if faults else official(asked)) as server:
        began = time.monotonic()
        [reading] = read(client(server.url), 0.5)
    assert reading.ok and len(server.asked) == 3
    assert time.monotonic() - began >= 0.2


def test_retries_end() -> None:
    with fake(lambda asked: (503, {}, b"full")) as server:
        [reading] = read(client(server.url, retries=2), 0.5)
    assert len(server.asked) == 3 and "status 503" in reading.text


def test_a_server_that_hangs_costs_the_deadline_and_no_more() -> None:
    def hang(asked: Asked) -> Any:
        time.sleep(1.5)
        return official(asked)

    with fake(hang) as server:
        session = client(server.url, deadline_s=0.3).open(REFERENCES)
        began = time.monotonic()
        reading = session.observe(bar_pair(0.5))
        assert time.monotonic() - began < 1.0
    assert not reading.ok and "0.3 s" in reading.text


def test_a_server_that_goes_away_is_a_status_and_progress_holds() -> None:
    with fake() as server:
        session = client(server.url, retries=0).open(REFERENCES)
        assert session.observe(bar_pair(0.25)).ok
    reading = session.observe(bar_pair(0.5))
    assert not reading.ok and reading.progress == pytest.approx(0.25, abs=0.01)


def test_without_a_server_loading_fails_by_name() -> None:
    with fake() as server:
        url = server.url
    with pytest.raises(ModelError, match="is the server running"):
        client(url, retries=0)


@pytest.mark.parametrize("info", [(200, {}, b"hello"), (404, {}, b"{}")])
def test_a_server_that_does_not_say_what_it_holds_is_refused(info: Any) -> None:
    with fake(info=info) as server, pytest.raises(ModelError):
        client(server.url, retries=0)


def test_the_identity_follows_the_served_model_and_what_it_is_shown() -> None:
    with fake() as one, fake() as same, fake(info=INFO | {"model_path": "other"}) as other:
        names = [
            client(one.url).model_id,
            client(same.url, deadline_s=4.0).model_id,
            client(other.url).model_id,
            client(one.url, camera="wrist").model_id,
        ]
    assert names[0] == names[1] and len(set(names)) == 3


def test_the_token_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOT_TOKEN", "a-token-of-some-length")
    with serve(bright(), token="a-token-of-some-length") as url:
        assert read(client(url, api_key_env="ROBOT_TOKEN"), 0.5)[0].ok
        with pytest.raises(ModelError, match="401"):
            client(url)
    with fake(lambda asked: (403, {}, asked.headers["authorization"].encode())) as server:
        [reading] = read(client(server.url, api_key_env="ROBOT_TOKEN"), 0.5)
    assert "status 403" in reading.text and "a-token" not in reading.text


@pytest.mark.parametrize(
    "settings",
    [
        {"camera": "side"},
        {"path": "ftp://x"},
        {"path": "http://user:word@x"},
        {"api_key_env": "NO_SUCH_VARIABLE"},
        {"api_key_env": "not a name"},
        {"success_threshold": 2.0},
        {"success_signal": "guess"},
        {"frames": 0},
    ],
)
def test_settings_that_cannot_be_used_are_named(settings: dict) -> None:
    with fake() as server, pytest.raises(ConfigError):
        client(**{"url": server.url, **({"url": settings.pop("path")} if "path" in settings else {})}, **settings)


def test_several_models_may_share_a_server() -> None:
    one, two = client(lasting()), client(lasting())
    assert [read(model, 0.5)[0].progress for model in (one, two)] == pytest.approx([0.5] * 2, abs=0.01)


def test_settings_may_come_from_a_file(tmp_path) -> None:
    with fake() as server:
        file = tmp_path / "robometer.yaml"
        file.write_text(json.dumps({"path": server.url, "camera": "wrist", "frames": 4}))
        model = load_reward_model("robometer_http", str(file))
    assert model.window.frames == 4
