"""A batch becomes the parts of a multipart request, or JSON, and back.

``POST /evaluate_batch_npy``: a text field ``sample_{i}`` holds a sample as JSON, in which each array is a reference
``{"__numpy_file__": part}`` to a file part, an ``.npy`` file of uint8 (T, H, W, 3) named
``sample_{i}_{trajectory}_{array}``; the field ``use_frame_steps`` is ``true`` or ``false``.
``POST /evaluate_batch``: ``{"samples": [...], "use_frame_steps": ...}`` with arrays as nested lists; a list of
samples, or one sample alone, is taken too. Other keys of a sample, as embeddings, are ignored.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dopamine_core.errors import WireError
from dopamine_core.reward.wire.form import Form
from dopamine_core.reward.wire.limits import WireLimits, WireSizeError
from dopamine_core.reward.wire.npy import from_npy, to_npy
from dopamine_core.reward.wire.values import (
    ARRAYS,
    EXTENSIONS,
    Batch,
    Frames,
    PreferenceSample,
    ProgressSample,
    Sample,
    Trajectory,
)

PARTS_PER_SAMPLE = 2 * len(ARRAYS) + 8  # ours, and arrays of others that are not read
REFERENCE = "__numpy_file__"
STEPS = "use_frame_steps"
LAST_ONLY = "last_frame_only"  # in a trajectory's metadata, which is free by the format

File = tuple[str, bytes, str]  # name, content and type, as HTTP libraries take it
ReadArray = Callable[[Any, str, int], Frames]  # value, name for messages, frames allowed


def to_form(batch: Batch) -> tuple[dict[str, str], dict[str, File]]:
    """Write a batch as text fields and file parts."""
    fields, files = {STEPS: json.dumps(batch.use_frame_steps)}, {}
    for index, sample in enumerate(batch.samples):

        def write(frames: Frames, place: str, index: int = index) -> dict[str, str]:
            part = f"sample_{index}_{place}"
            files[part] = (f"{part}.npy", to_npy(frames), "application/octet-stream")
            return {REFERENCE: part}

        fields[f"sample_{index}"] = json.dumps(_sample_to_json(sample, write))
    return fields, files


def to_json(batch: Batch) -> dict[str, Any]:
    """Write a batch as JSON values, pixels as nested lists."""
    samples = [
        _sample_to_json(sample, lambda frames, _: frames.tolist()) for sample in batch.samples
    ]
    return {"samples": samples, STEPS: batch.use_frame_steps}


def from_form(form: Form, limits: WireLimits) -> Batch:
    """Read a batch from a parsed form.

    :raises WireError: when a sample or a part is missing or malformed.
    :raises WireSizeError: when it is larger than the limits.
    """

    def read(value: Any, name: str, most: int) -> Frames:
        part = value.get(REFERENCE) if isinstance(value, dict) else None
        if not isinstance(part, str) or part not in form.files:
            raise WireError(
                expected=f'{name} as {{"{REFERENCE}": a file part of this request}}',
                got=_shown(value),
                remedy=f"send the part as a file; parts that came: {_shown(sorted(form.files))}",
            )
        return from_npy(form.files[part], part, limits, most)

    texts = _numbered(form.fields)
    values = [_parsed(text, f"sample_{index}") for index, text in enumerate(texts)]
    return _batch(values, _flag(form.fields.get(STEPS, "false")), read, limits)


def from_json(body: bytes, limits: WireLimits) -> Batch:
    """Read a batch from a JSON body.

    :raises WireError: when it is malformed.
    :raises WireSizeError: when it is larger than the limits.
    """

    def read(value: Any, name: str, most: int) -> Frames:
        return _from_lists(value, name, most, limits)

    value = _parsed(body, "the body")
    if isinstance(value, dict) and "samples" in value:
        return _batch(value["samples"], _flag(value.get(STEPS, False)), read, limits)
    if isinstance(value, dict):  # one sample alone
        return _batch([value], _flag(value.get(STEPS, False)), read, limits)
    return _batch(value, False, read, limits)


def _sample_to_json(sample: Sample, write: Callable[[Frames, str], Any]) -> dict[str, Any]:
    kind = "progress" if isinstance(sample, ProgressSample) else "preference"
    values: dict[str, Any] = {"sample_type": kind}
    for place, trajectory in sample.trajectories.items():
        values[place] = _trajectory_to_json(trajectory, place, write)
    return values


def _trajectory_to_json(
    trajectory: Trajectory, place: str, write: Callable[[Frames, str], Any]
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"subsequence_length": len(trajectory.frames)}
    if trajectory.last_only:
        metadata[LAST_ONLY] = True
    extensions = {
        name: write(frames, f"{place}_{name}")
        for name in EXTENSIONS
        if (frames := getattr(trajectory, name)) is not None
    }
    return {
        "frames": write(trajectory.frames, f"{place}_frames"),
        "frames_shape": list(trajectory.frames.shape),
        "task": trajectory.task,
        "id": trajectory.id,
        "metadata": metadata,
        "video_embeddings": None,
        **extensions,
    }


def _numbered(fields: Mapping[str, str]) -> list[str]:
    """Samples in order; their numbers must run from 0 without a gap."""
    names = [name for name in fields if name.startswith("sample_") and name[7:].isdecimal()]
    expected = [f"sample_{index}" for index in range(len(names))]
    if set(names) != set(expected):
        raise WireError(
            expected="fields sample_0, sample_1 and so on, without a gap",
            got=_shown(sorted(names)),
            remedy="number the samples from 0",
        )
    return [fields[name] for name in expected]


def _batch(values: Any, steps: bool, read: ReadArray, limits: WireLimits) -> Batch:
    if not isinstance(values, list) or not values:
        raise WireError(
            expected="at least one sample",
            got=_shown(values),
            remedy="send fields sample_0, sample_1 ... or a list of samples",
        )
    if len(values) > limits.samples:
        raise WireSizeError(
            expected=f"at most {limits.samples} samples",
            got=f"{len(values)}",
            remedy="send fewer samples in one request",
        )
    samples = [_sample(value, f"sample_{k}", read, limits) for k, value in enumerate(values)]
    batch = Batch(tuple(samples), steps)
    if batch.frames > limits.request_frames:
        raise WireSizeError(
            expected=f"at most {limits.request_frames} frames in a request",
            got=f"{batch.frames}",
            remedy="send fewer samples or frames in one request",
        )
    return batch


def _sample(value: Any, name: str, read: ReadArray, limits: WireLimits) -> Sample:
    kind = _mapping(value, name).get("sample_type")
    if kind == "progress":
        return ProgressSample(_trajectory(value, name, "trajectory", read, limits))
    if kind == "preference":
        chosen, rejected = (
            _trajectory(value, name, place, read, limits)
            for place in ("chosen_trajectory", "rejected_trajectory")
        )
        return PreferenceSample(chosen, rejected)
    raise WireError(
        expected=f"{name}.sample_type of progress, preference",
        got=_shown(kind),
        remedy="ask for progress, or for a preference between two trajectories",
    )


def _trajectory(
    sample: Mapping[str, Any], name: str, place: str, read: ReadArray, limits: WireLimits
) -> Trajectory:
    name = f"{name}.{place}"
    values = _mapping(sample.get(place), name)
    task, metadata = values.get("task"), values.get("metadata")
    _check_task(task, f"{name}.task", limits)
    last_only = isinstance(metadata, dict) and metadata.get(LAST_ONLY) is True
    most = {"frames": limits.trajectory_frames, "wrist_frames": limits.trajectory_frames}
    sent = [array for array in ARRAYS if array == "frames" or values.get(array) is not None]
    arrays = {
        array: read(values.get(array), f"{name}.{array}", most.get(array, limits.goals))
        for array in sent
    }
    trajectory = Trajectory(
        task=task or "", id=str(values.get("id") or ""), last_only=last_only, **arrays
    )
    _check_counts(trajectory, name)
    return trajectory


def _check_task(task: Any, name: str, limits: WireLimits) -> None:
    if task is not None and not isinstance(task, str):
        raise WireError(expected=f"{name} as text", got=_shown(task), remedy="send one sentence")
    if task and len(task) > limits.task_characters:
        raise WireSizeError(
            expected=f"{name} of at most {limits.task_characters} characters",
            got=f"{len(task)}",
            remedy="send one sentence",
        )


def _check_counts(trajectory: Trajectory, name: str) -> None:
    """Views of the same moments must be equally many, and a start is one moment."""
    goals = trajectory.goal_frames
    starts = trajectory.start_frames
    pairs = (
        ("wrist_frames", trajectory.wrist_frames, len(trajectory.frames)),
        ("goal_wrist_frames", trajectory.goal_wrist_frames, 0 if goals is None else len(goals)),
        ("start_frames", starts, 1),
        ("start_wrist_frames", trajectory.start_wrist_frames, 0 if starts is None else 1),
    )
    for array, frames, expected in pairs:
        if frames is not None and len(frames) != expected:
            raise WireError(
                expected=f"{expected} views in {name}.{array}, one for each front view",
                got=f"{len(frames)}",
                remedy="send both cameras of the same moments, or the front one alone",
            )


def _from_lists(value: Any, name: str, most: int, limits: WireLimits) -> Frames:
    """Turn nested lists into frames; their sizes are checked before they are converted."""
    shape, row = [], value
    while isinstance(row, list) and row and len(shape) < 5:
        shape.append(len(row))
        row = row[0]
    if not isinstance(row, int) or isinstance(row, bool):
        raise WireError(
            expected=f"{name} as nested lists of integers, (T, H, W, 3)",
            got=_shown(row),
            remedy="send pixels; the server opens no files. Large frames go to /evaluate_batch_npy",
        )
    limits.check_shape(name, tuple(shape), most)
    try:
        pixels = b"".join(_row(row, shape) for frame in value for row in _sized(frame, shape[1]))
    except (TypeError, ValueError) as error:
        raise _not_pixels(name, str(error)[:80]) from error
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def _row(row: Any, shape: Sequence[int]) -> bytes:
    """Pack one row of pixels; ``bytes`` takes nothing but integers in 0 .. 255."""
    return b"".join(bytes(_sized(pixel, shape[3])) for pixel in _sized(row, shape[2]))


def _sized(values: Any, count: int) -> list[Any]:
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"{_shown(values)} where {count} values were expected")
    return values


def _not_pixels(name: str, got: str) -> WireError:
    return WireError(
        expected=f"{name} as an even grid of integers in 0 .. 255",
        got=got,
        remedy="send uint8 pixels (T, H, W, 3)",
    )


def _parsed(text: str | bytes, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(
            expected=f"{name} as JSON", got=str(error)[:120], remedy="correct the request"
        ) from error


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise WireError(
            expected=f"{name} as a mapping", got=_shown(value), remedy="correct the request"
        )
    return value


def _flag(value: Any) -> bool:
    text = value if isinstance(value, str) else json.dumps(value, default=repr)
    if text.lower() not in ("true", "false"):
        raise WireError(
            expected=f"{STEPS} as true or false", got=_shown(value), remedy="correct the request"
        )
    return text.lower() == "true"


def _shown(value: Any) -> str:
    return reprlib.repr(value)[:120]
