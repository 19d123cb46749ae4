"""Stage-aware reward model, trained per task from recorded demonstrations; onnxruntime on one thread, no torch.

``path`` is the folder that ``dopamine_core.reward.sarm.train`` wrote. The model tells in which stage of its task a
run is and how far within it; progress is the expectation over the stages, success the probability of being done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting
from dopamine_core.errors import ModelError
from dopamine_core.reward.clips import WHOLE, ClipAnswer, ClipQuery, ClipRewardModel, WindowConfig
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.models.nano import open_session
from dopamine_core.reward.sarm.encoder import FrozenEncoder, Seen
from dopamine_core.reward.sarm.folder import ENCODER, SEQUENCE, SarmFolder, read_sarm
from dopamine_core.reward.sarm.windows import window_at
from dopamine_core.reward.session import PROBABILITY
from dopamine_core.types import FramePair, ModelId, Status


@dataclass(frozen=True)
class Config:
    """Which model."""

    path: str = setting("", doc="Folder of a trained model.")
    success_threshold: float = setting(
        0.0,
        doc="Probability of being done that counts as success; 0: the one calibrated in training.",
        low=0.0,
        high=1.0,
    )
    stored: int = setting(
        4096,
        doc="Frames kept of an episode; beyond, every other one is forgotten.",
        low=16,
        high=10**6,
    )

    def __post_init__(self) -> None:
        check(self)


def load(config: Config, fusion: FusionConfig) -> ClipRewardModel:
    """Load a trained model. It answers progress itself, so that there is nothing to fuse.

    :raises ModelError: when no folder is named, or its files are missing or corrupt.
    """
    if not config.path:
        raise ModelError(
            expected="the folder of a trained model as path",
            got="none",
            remedy="train one from recorded demonstrations: this model knows only the task it was trained on",
        )
    scorer = SarmScorer(read_sarm(Path(config.path)), config.success_threshold)
    return ClipRewardModel(scorer, WindowConfig(WHOLE, config.stored, config.stored))


@dataclass(frozen=True)
class StageReading:
    """What the network says of one moment; the last class is "done"."""

    probability: NDArray[np.float64]  # (K + 1,)
    tau: NDArray[np.float64]  # (K + 1,) progress within each class

    @property
    def stage(self) -> int:
        """The likeliest class; the number of stages when it is "done"."""
        return int(self.probability.argmax())


class SarmScorer:
    """The clip back end; it is given every frame and looks at some.

    :param folder: a verified folder.
    :param success_threshold: replaces the calibrated one unless 0.
    """

    fast = True
    success_signal = PROBABILITY

    def __init__(self, folder: SarmFolder, success_threshold: float = 0.0) -> None:
        self._folder = folder
        self.model_id: ModelId = folder.model_id
        self.success_threshold = success_threshold or folder.success_threshold
        self._encoder = FrozenEncoder(folder.encoder, folder.size, str(folder.path / ENCODER))
        self._sequence = open_session(folder.sequence, str(folder.path / SEQUENCE))

    @property
    def task(self) -> str:
        """The task that it was trained on."""
        return self._folder.task

    def encode(self, pair: FramePair) -> Seen:
        """Encode a pair once. A wrist image without bytes counts as missing; the front one is required.

        :raises ImageError: when the bytes cannot be decoded.
        """
        return self._encoder.encode(pair)

    def score(self, queries: Sequence[ClipQuery]) -> list[ClipAnswer]:
        """Answer a batch of clips, one answer each, in order."""
        return [self._answer(reading) for reading in self.read([query.frames for query in queries])]

    def read(self, clips: Sequence[Sequence[Seen]]) -> list[StageReading]:
        """Tell the stage at the end of each run.

        :param clips: frames of each run from its beginning, at least one.
        """
        if not clips:
            return []
        windows = [self._window(clip) for clip in clips]
        inputs = {
            "features": np.stack([[seen.features for seen in window] for window in windows]),
            "present": np.stack([[seen.present for seen in window] for window in windows]),
        }
        probability, tau = (part.astype(np.float64) for part in self._sequence.run(None, inputs))
        return [StageReading(*parts) for parts in zip(probability, tau, strict=True)]

    def _window(self, clip: Sequence[Seen]) -> list[Seen]:
        stamps_ns = [seen.stamp_ns for seen in clip]
        return [clip[k] for k in window_at(stamps_ns, self._folder.window, self._folder.gap_s)]

    def _answer(self, reading: StageReading) -> ClipAnswer:
        progress, deviation = self._folder.plan.progress(reading.probability, reading.tau)
        return ClipAnswer(
            Status.OK,
            progress=float(progress),
            success_probability=float(np.clip(reading.probability[-1], 0.0, 1.0)),
            uncertainty=float(deviation),
        )
