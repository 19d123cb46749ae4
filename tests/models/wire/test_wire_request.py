"""Requests: what is written comes back; official bytes are read; what is malformed is named."""

import json
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopamine_core.errors import WireError
from dopamine_core.reward.wire.form import Form, parse_form
from dopamine_core.reward.wire.limits import WireLimits, WireSizeError
from dopamine_core.reward.wire.npy import to_npy
from dopamine_core.reward.wire.request import from_form, from_json, to_form, to_json
from dopamine_core.reward.wire.values import (
    ARRAYS,
    Batch,
    PreferenceSample,
    ProgressSample,
    Trajectory,
)

LIMITS = WireLimits()
FRAMES = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
WHOLE = Trajectory(
    FRAMES, "stack", "7", True, FRAMES[:, :2], FRAMES[:1], FRAMES[:1], FRAMES[1:], FRAMES[1:]
)
BATCH = Batch(
    (
        ProgressSample(Trajectory(FRAMES, "stack")),
        ProgressSample(WHOLE),
        PreferenceSample(Trajectory(FRAMES, "stack"), Trajectory(FRAMES[:1], "stack")),
    ),
    use_frame_steps=True,
)


def same(a: Batch, b: Batch) -> bool:
    """Arrays and everything else are equal."""
    return a.use_frame_steps == b.use_frame_steps and all(
        type(x) is type(y)
        and all(_equal(x.trajectories[key], y.trajectories[key]) for key in x.trajectories)
        for x, y in zip(a.samples, b.samples, strict=True)
    )


def _equal(a: Trajectory, b: Trajectory) -> bool:
    arrays = all(
        (left is None) == (right is None) and (left is None or np.array_equal(left, right))
        for left, right in ((getattr(a, name), getattr(b, name)) for name in ARRAYS)
    )
    return arrays and (a.task, a.id, a.last_only) == (b.task, b.id, b.last_only)


def posted(fields: dict[str, str], files: dict[str, Any]) -> tuple[str, bytes]:
    """Content type and body as httpx writes them."""
    request = httpx.Request("POST", "http://x", data=fields, files=files)
    return request.headers["content-type"], request.read()


def official() -> tuple[dict[str, str], dict[str, Any]]:
    """A sample as the official example client sends it, written from its description."""
    sample = {
        "sample_type": "progress",
        "trajectory": {
            "frames": {"__numpy_file__": "sample_0_trajectory_frames"},
            "frames_shape": [2, 3, 4, 3],
            "task": "stack",
            "id": "0",
            "metadata": {"subsequence_length": 2},
            "video_embeddings": None,
        },
    }
    part = ("sample_0_trajectory_frames.npy", to_npy(FRAMES), "application/octet-stream")
    fields = {"sample_0": json.dumps(sample), "use_frame_steps": "false"}
    return fields, {"sample_0_trajectory_frames": part}


def read(fields: dict[str, str], files: dict[str, Any]) -> Batch:
    return from_form(parse_form(*posted(fields, files), 50), LIMITS)


def test_a_form_comes_back() -> None:
    assert same(read(*to_form(BATCH)), BATCH)


def test_json_comes_back() -> None:
    assert same(from_json(json.dumps(to_json(BATCH)).encode(), LIMITS), BATCH)


def test_the_official_client_is_read() -> None:
    assert same(read(*official()), Batch((ProgressSample(Trajectory(FRAMES, "stack", "0")),)))


def test_the_flag_is_spelled_in_any_case_and_may_be_missing() -> None:
    fields, files = official()
    assert read(fields | {"use_frame_steps": "True"}, files).use_frame_steps
    del fields["use_frame_steps"]
    assert not read(fields, files).use_frame_steps


def test_our_bytes_are_what_the_official_server_expects() -> None:
    fields, files = to_form(Batch((ProgressSample(Trajectory(FRAMES, "stack", "0")),)))
    expected, parts = official()
    assert json.loads(fields["sample_0"]) == json.loads(expected["sample_0"])
    assert fields["use_frame_steps"] == expected["use_frame_steps"]
    assert files == parts


def test_arrays_that_are_not_ours_are_ignored() -> None:
    fields, files = official()
    sample = json.loads(fields["sample_0"])
    sample["trajectory"]["video_embeddings"] = {"__numpy_file__": "other"}
    sample["data_gen_strategy"] = None
    fields["sample_0"] = json.dumps(sample)
    assert read(fields, files | {"other": ("other.npy", b"floats", "x/y")}).frames == 2


def test_a_list_of_samples_and_one_sample_are_taken() -> None:
    [sample] = to_json(Batch((ProgressSample(Trajectory(FRAMES, "stack")),)))["samples"]
    for body in ([sample], sample):
        assert from_json(json.dumps(body).encode(), LIMITS).frames == 2


def changed(change: dict[str, Any], place: str = "trajectory") -> dict[str, Any]:
    """A JSON sample with one thing changed."""
    sample = to_json(Batch((ProgressSample(Trajectory(FRAMES, "stack")),)))["samples"][0]
    (sample if place == "sample" else sample[place]).update(change)
    return sample


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (changed({"sample_type": "similarity"}, "sample"), "similarity"),
        (changed({"sample_type": None}, "sample"), "None"),
        (changed({"trajectory": None}, "sample"), "trajectory as a mapping"),
        (changed({"sample_type": "preference"}, "sample"), "chosen_trajectory"),
        (changed({"task": 5}), "task as text"),
        (changed({"frames": None}), "nested lists"),
        (changed({"frames": ["/etc/passwd"]}), "opens no files"),
        (changed({"frames": [[[[0, 0, 300]]]]}), "0 .. 255"),
        (changed({"frames": [[[[0, 0, -1]]]]}), "0 .. 255"),
        (changed({"frames": [[[[0, 0.5, 1]]]]}), "0 .. 255"),
        (changed({"frames": [[[[0, 0, 0], [0, 0]]]]}), "3 values"),
        (changed({"frames": [[[[0, 0, 0]]], [[[0, 0, 0]], [[0, 0, 0]]]]}), "1 values"),
        (changed({"frames": [[[[0, 0, "0"]]]]}), "0 .. 255"),
        (changed({"frames": [[[[True, 0, 0]]]]}), "nested lists"),
        (changed({"frames": [[[0, 0, 0]]]}), "T, H, W, 3"),
        (changed({"wrist_frames": [[[[0, 0, 0]]]]}), "2 views"),
        (changed({"goal_wrist_frames": [[[[0, 0, 0]]]]}), "0 views"),
        ("text", "mapping"),
    ],
)
def test_malformed_json_samples_are_named(sample: Any, words: str) -> None:
    with pytest.raises(WireError, match=words):
        from_json(json.dumps({"samples": [sample]}).encode(), LIMITS)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"5", b'{"samples": {}}', b"[" * 100_000, b"\xff", b'{"samples": []}']
)
def test_malformed_bodies_are_named(body: bytes) -> None:
    with pytest.raises(WireError):
        from_json(body, LIMITS)


@pytest.mark.parametrize(
    ("fields", "files", "words"),
    [
        ({}, {}, "at least one sample"),
        ({"sample_1": "{}"}, {}, "without a gap"),
        ({"sample_0": "{"}, {}, "as JSON"),
        ({"sample_0": official()[0]["sample_0"]}, {}, "file part"),
        (official()[0] | {"use_frame_steps": "maybe"}, official()[1], "true or false"),
    ],
)
def test_malformed_forms_are_named(fields: dict, files: dict, words: str) -> None:
    files = {name: memoryview(content) for name, (_, content, _) in files.items()}
    with pytest.raises(WireError, match=words):
        from_form(Form(fields, files), LIMITS)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (WireLimits(samples=2), "at most 2 samples"),
        (WireLimits(trajectory_frames=1), "at most 1 frames"),
        (WireLimits(request_frames=6), "at most 6 frames in a request"),
        (WireLimits(megapixels=0.001), "megapixels"),
        (WireLimits(task_characters=4), "at most 4 characters"),
    ],
)
def test_large_requests_are_named(limits: WireLimits, words: str) -> None:
    frames = np.zeros((2, 40, 40, 3), np.uint8)
    batch = Batch((ProgressSample(Trajectory(frames, "stack")),) * 4)
    with pytest.raises(WireSizeError, match=words):
        from_form(parse_form(*posted(*to_form(batch)), 50), limits)


def test_the_number_of_parts_is_limited() -> None:
    with pytest.raises(WireSizeError):
        parse_form(*posted({str(k): "x" for k in range(9)}, {"f": ("f", b"", "x/y")}), 8)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", ""])
def test_other_content_types_are_named(kind: str) -> None:
    with pytest.raises(WireError, match="multipart/form-data"):
        parse_form(kind, b"", 8)


def test_a_part_named_twice_is_named() -> None:
    kind, body = posted({"a": ["1", "2"]}, {"f": ("f", b"", "x/y")})
    with pytest.raises(WireError, match="was there before"):
        parse_form(kind, body, 8)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000))
def test_a_form_that_is_cut_anywhere_is_a_named_error(place: int) -> None:
    kind, body = posted(*official())
    with pytest.raises(WireError):
        from_form(parse_form(kind, body[: place % (len(body) - 4)], 50), LIMITS)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.binary(max_size=5))
def test_a_garbled_form_is_read_or_a_named_error(place: int, noise: bytes) -> None:
    kind, body = posted(*official())
    place %= len(body)
    try:
        from_form(parse_form(kind, body[:place] + noise + body[place + len(noise) :], 50), LIMITS)
    except WireError:
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-300, 300) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["frames", "task", "metadata", "id", "x"]), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_any_trajectory_is_read_or_a_named_error(trajectory: Any) -> None:
    body = json.dumps({"samples": [{"sample_type": "progress", "trajectory": trajectory}]})
    try:
        from_json(body.encode(), LIMITS)
    except WireError:
        pass
