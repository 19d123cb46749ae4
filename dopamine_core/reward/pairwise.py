"""Frame pairs come in, hops are asked for, fused progress goes out."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np

from dopamine_core.errors import ModelError
from dopamine_core.reward.fusion import Chain, FusedSample, FusionConfig, step
from dopamine_core.reward.session import (
    PROGRESS,
    Encoded,
    HopAnswer,
    HopModel,
    HopQuery,
    References,
)
from dopamine_core.types import FramePair, ModelId, Reading, Status

_CACHED_FRAMES = 64  # two lanes look at the same newest pairs; a few dozen bridge their distance
_HOP_TOLERANCE = 1e-6  # rounding of float32 models


class PairwiseModel:
    """A RewardModel on top of a pairwise back end.

    :param hop_model: back end that answers hops.
    :param config: fusion settings.
    """

    success_signal = PROGRESS

    def __init__(self, hop_model: HopModel, config: FusionConfig | None = None) -> None:
        self._hop_model = hop_model
        self._config = config or FusionConfig()
        self._frames = _CachingEncoder(hop_model)
        self._references = _CachingEncoder(hop_model)  # apart, so that frames do not push them out

    @property
    def model_id(self) -> ModelId:
        """Which model answers."""
        return self._hop_model.model_id

    @property
    def fast(self) -> bool:
        """Whether the back end answers within one decision period."""
        return self._hop_model.fast

    @property
    def success_threshold(self) -> float:
        """Threshold calibrated for this model."""
        return self._hop_model.success_threshold

    def open(self, references: References) -> PairwiseSession:
        """Open a session for one episode.

        :raises ModelError: when task or goal are missing.
        :raises ImageError: when a reference image cannot be decoded.
        """
        if not references.task.strip() or not references.goals:
            raise ModelError(
                expected="a task sentence and at least one goal pair",
                got=f"task {references.task!r} and {len(references.goals)} goals",
                remedy="set them with the reward/set_task service",
            )
        return PairwiseSession(
            self._hop_model, self._frames, self._references, self._config, references
        )


class PairwiseSession:
    """One episode's chain of readings. Phi* of the first frame is 0 by definition (Eq. 5)."""

    def __init__(
        self,
        hop_model: HopModel,
        frames: _CachingEncoder,
        reference_images: _CachingEncoder,
        config: FusionConfig,
        references: References,
    ) -> None:
        self._hop_model = hop_model
        self._frames = frames
        self._chain = Chain(config)
        self._task = references.task
        self._goals = [reference_images.encode(goal) for goal in references.goals]
        start = references.start
        self._start = None if start is None else reference_images.encode(start)
        self._first: Encoded | None = None  # s_init of Eq. 6: this episode's own first frame
        self._before: Encoded | None = None  # last valid sample
        self._any_valid = False
        self.last: Reading | None = None

    def observe(self, pair: FramePair) -> Reading:
        """Answer the next sample and advance the chain.

        :raises ImageError: when the bytes cannot be decoded; the chain stays where it was.
        """
        return self.observe_all([pair])[0]

    def observe_all(self, pairs: Sequence[FramePair]) -> list[Reading]:
        """Answer the next samples in one go and advance the chain; equal to ``observe`` one by one.

        What is asked of a sample needs the image before it, not the answer, as long as the answers are valid.

        :raises ImageError: when the bytes of one cannot be decoded; the chain stays where it was before the first.
        """
        began_ns = time.perf_counter_ns()
        samples = [self._frames.encode(pair) for pair in pairs]
        encoding_ns = (time.perf_counter_ns() - began_ns) // max(1, len(samples))
        readings: list[Reading] = []
        while len(readings) < len(samples):
            readings += self._advance(samples[len(readings) :], encoding_ns)
        return readings

    def peek(self, pair: FramePair) -> Reading:
        """Answer as ``observe`` would, but leave the chain where it is."""
        began_ns = time.perf_counter_ns()
        encoded = self._frames.encode(pair)
        answers = self._ask(self._queries(encoded, self._before, self._first))
        return self._read(answers, time.perf_counter_ns() - began_ns)[0]

    def _advance(self, samples: Sequence[Encoded], encoding_ns: int) -> list[Reading]:
        """Answer samples up to the first whose answer changes what the next must be asked.

        :param encoding_ns: what encoding one of them took.
        """
        began_ns = time.perf_counter_ns()
        first = samples[0] if self._first is None else self._first
        befores = [self._before, *samples[:-1]]
        asked = [
            self._queries(after, before, first)
            for before, after in zip(befores, samples, strict=True)
        ]
        answers = iter(self._ask([query for queries in asked for query in queries]))
        spent_ns = encoding_ns + (time.perf_counter_ns() - began_ns) // len(samples)
        readings = []
        for encoded, queries in zip(samples, asked, strict=True):
            reading, fused = self._read([next(answers) for _ in queries], spent_ns)
            self._commit(encoded, reading, fused)
            readings.append(reading)
            if self._before is not encoded:
                break
        return readings

    def _commit(self, encoded: Encoded, reading: Reading, fused: FusedSample | None) -> None:
        if self._first is None:
            self._first = self._before = encoded
            self._chain.start()
        if fused is not None:
            self._before, self._any_valid = encoded, True
            self._chain.advance(fused)
        self.last = reading

    def _read(
        self, answers: Sequence[HopAnswer], inference_ns: int
    ) -> tuple[Reading, FusedSample | None]:
        """Fuse one sample's answers."""
        bad = next((fault for answer in answers if (fault := _fault(answer))), None)
        if bad is not None:
            held = self._chain.progress if self._any_valid else math.nan
            return Reading(*bad, progress=held, inference_ns=inference_ns), None
        hops = _means([answer.hop for answer in answers], len(self._goals))
        fused = self._chain.fuse(hops)
        uncertainty = self._uncertainty([answer.uncertainty for answer in answers], hops, fused)
        reading = Reading(
            Status.OK,
            hop=hops,
            reading=fused.readings,
            consistency=fused.consistency,
            progress=fused.progress,
            uncertainty=uncertainty,
            inference_ns=inference_ns,
        )
        return reading, fused

    def _queries(
        self, after: Encoded, before: Encoded | None, first: Encoded | None
    ) -> list[HopQuery]:
        """Queries in blocks of one kind, goal by goal; the first sample has no incremental one."""
        first = after if first is None else first
        start = first if self._start is None else self._start
        kinds = [] if before is None else [[before] * len(self._goals)]
        kinds += [[first] * len(self._goals), self._goals]
        return [
            HopQuery(self._task, start, goal, moment, after)
            for moments in kinds
            for goal, moment in zip(self._goals, moments, strict=True)
        ]

    def _ask(self, queries: list[HopQuery]) -> list[HopAnswer]:
        answers = self._hop_model.hops(queries)
        if len(answers) != len(queries):
            raise ModelError(
                expected=f"{len(queries)} answers",
                got=f"{len(answers)}",
                remedy=f"repair the back end {self._hop_model.model_id.name!r}",
            )
        return answers

    def _uncertainty(
        self, sigmas: Sequence[float], hops: tuple[float, float, float], fused: FusedSample
    ) -> float:
        """Upper bound of the standard deviation: the three errors taken as fully correlated."""
        if self._first is None:
            return 0.0 if not np.isnan(sigmas).any() else math.nan
        by_kind = _means(sigmas, len(self._goals))
        unit_hop = math.copysign(1.0, hops[0])
        share = abs(step(self._chain.chained, unit_hop))  # |d reading / d hop|, Eq. 4
        scale = (share, 1.0, 1.0)
        return sum(s * k * w for s, k, w in zip(by_kind, scale, fused.sensitivity, strict=True))


class _CachingEncoder:
    """Each frame pair is encoded once, whichever lane asks first."""

    def __init__(self, hop_model: HopModel) -> None:
        self._hop_model = hop_model
        self._lock = Lock()
        self._cache: OrderedDict[tuple[bytes, bytes], Encoded] = OrderedDict()

    def encode(self, pair: FramePair) -> Encoded:
        key = (pair.front.data, pair.wrist.data)  # the bytes: stamps repeat after a clock reset
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        encoded = self._hop_model.encode(pair)
        with self._lock:
            self._cache[key] = encoded
            if len(self._cache) > _CACHED_FRAMES:
                self._cache.popitem(last=False)
        return encoded


def _fault(answer: HopAnswer) -> tuple[Status, str] | None:
    """Say why an answer carries no hop; None when it does."""
    if answer.status is not Status.OK:
        return answer.status, answer.text or f"the model answered {answer.status.name}"
    if not abs(answer.hop) <= 1.0 + _HOP_TOLERANCE:
        text = f"expected a hop in [-1, 1], got {answer.hop}; the sample is not used"
        return Status.INVALID_HOP, text
    return None


def _means(values: Sequence[float], goals: int) -> tuple[float, float, float]:
    """Mean over the goals of each kind of query; NaN for the incremental one of a first sample."""
    by_kind = np.asarray(values, dtype=np.float64).reshape(-1, goals).mean(axis=1)  # (3,) or (2,)
    padded = [math.nan] * (3 - len(by_kind)) + [float(value) for value in by_kind]
    return padded[0], padded[1], padded[2]


def anchored_progress(reading: Reading) -> float:
    """Mean of the two anchored readings.

    It depends on the state alone, so that models too slow for the observation can shape with it.
    """
    return math.nan if not reading.ok else (reading.reading[1] + reading.reading[2]) / 2.0
