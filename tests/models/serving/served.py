"""Toy models behind a real server on loopback, and the requests of a client that is not ours."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np

from dopamine_core.frames.codec import decode
from dopamine_core.reward.clips import ClipAnswer, ClipQuery, ClipRewardModel, WindowConfig
from dopamine_core.reward.serving.app import RequestRecord, Service
from dopamine_core.reward.serving.config import ServeConfig
from dopamine_core.reward.serving.evaluation import Evaluator
from dopamine_core.reward.serving.server import open_socket, served
from dopamine_core.reward.session import PROBABILITY, References, RewardModel
from dopamine_core.types import FramePair, ModelId, Status
from tests.core.reward.toy_model import bar_image, bar_pair

TASK = "fill the bar"
REFERENCES = References(TASK, (bar_pair(1.0),), bar_pair(0.0))


class BrightScorer:
    """Progress is the bright share of a clip's last frame, success its square; tasks choose faults."""

    model_id = ModelId("bright", "b1")
    fast = True
    success_threshold = 0.65
    success_signal = PROBABILITY

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.sizes: list[int] = []  # clips of each call
        self.frames: list[int] = []  # frames of each clip
        self.begun = threading.Event()

    def encode(self, pair: FramePair) -> float:
        """Share of bright pixels of the front view."""
        return float(decode(pair.front).mean() / 255.0)

    def score(self, queries: Sequence[ClipQuery]) -> list[ClipAnswer]:
        """Answer with the last frame's share."""
        self.begun.set()
        self.sizes.append(len(queries))
        self.frames += [len(query.frames) for query in queries]
        time.sleep(self.delay_s)
        if any("explode" in query.task for query in queries):
            raise RuntimeError("the toy exploded")
        return [_answer(query) for query in queries]


def _answer(query: ClipQuery) -> ClipAnswer:
    share = query.frames[-1]
    if "unreadable" in query.task:
        return ClipAnswer(Status.INVALID_HOP, text="no score in the answer")
    if "absurd" in query.task:
        return ClipAnswer(Status.OK, 7.0)
    return ClipAnswer(Status.OK, share, share**2)


def bright(delay_s: float = 0.0) -> ClipRewardModel:
    """A clip model of eight frames."""
    return ClipRewardModel(BrightScorer(delay_s), WindowConfig())


@contextmanager
def serve(
    model: RewardModel,
    references: References | None = None,
    *,
    records: list[RequestRecord] | None = None,
    goals_in_requests: bool = False,
    any_task: bool = False,
    **settings: Any,
) -> Iterator[str]:
    """Serve a model on a free port; yields the URL."""
    config = ServeConfig(**{"port": 0, "grace_s": 1.0, **settings})
    evaluator = Evaluator(
        model,
        references,
        goals_in_requests=goals_in_requests,
        any_task=any_task,
        batch=config.batch,
    )
    heard = [] if records is None else records
    service = Service(config, evaluator, heard.append)
    with served(service, open_socket(config)) as url:
        yield url


def bars(*shares: float) -> np.ndarray:
    """(T, H, W, 3) uint8: one bar for each share."""
    return np.stack([bar_image(share) for share in shares])


def npy(frames: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, frames)
    return buffer.getvalue()


def official_form(
    frames: np.ndarray, task: str = TASK, **trajectory: Any
) -> tuple[dict[str, str], dict[str, Any]]:
    """Fields and files of one progress sample, written from the format's description and without our code."""
    part = "sample_0_trajectory_frames"
    body = {
        "frames": {"__numpy_file__": part},
        "frames_shape": list(frames.shape),
        "task": task,
        "id": "0",
        "metadata": {"subsequence_length": len(frames)},
        "video_embeddings": None,
        **trajectory,
    }
    fields = {
        "sample_0": json.dumps({"sample_type": "progress", "trajectory": body}),
        "use_frame_steps": "false",
    }
    return fields, {part: (f"{part}.npy", npy(frames), "application/octet-stream")}


def ask(url: str, frames: np.ndarray, task: str = TASK, **options: Any) -> httpx.Response:
    """Post one progress sample as the official client does."""
    fields, files = official_form(frames, task)
    options.setdefault("timeout", 20.0)
    return httpx.post(f"{url}/evaluate_batch_npy", data=fields, files=files, **options)


def progress(response: httpx.Response) -> list[float | None]:
    """Progress of the first sample."""
    assert response.status_code == 200, response.text
    return response.json()["outputs_progress"]["progress_pred"][0]
