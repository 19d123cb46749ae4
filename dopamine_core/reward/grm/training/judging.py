"""A model and demonstrations come in; the success threshold and the report's figures go out.

The model is asked here exactly as at inference, by the engine and through the reward model's seam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.evaluation.metrics import nan_mean, rmse, voc
from dopamine_core.evaluation.score import score_pairs
from dopamine_core.reward.demonstration_progress import decoded, progress_of
from dopamine_core.reward.grm.engine import Engine, Query, SeenImage
from dopamine_core.reward.grm.prompt import GrmPrompt
from dopamine_core.reward.grm.views import three_views
from dopamine_core.reward.nano.calibration import calibrate, perturbed_runs
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.session import HopAnswer, HopQuery, References
from dopamine_core.reward.vlm.checkpoint import Checkpoint
from dopamine_core.types import FramePair, ModelId, Status

_LOOKED_AT = (128, 96)  # pixels in which arrival is looked for
Views = tuple[SeenImage, ...]
Tick = Callable[[], None]  # called between questions; may raise to end it


class AskedHops:
    """A checkpoint as a pairwise back end; every answer counts, however unlikely scores are.

    :param tick: called before every look and every answer.
    """

    fast = False
    success_threshold = 1.0
    model_id = ModelId("grm", "", False)

    def __init__(self, engine: Engine, tick: Tick) -> None:
        self._engine, self._tick = engine, tick

    def encode(self, pair: FramePair) -> Views:
        """Let the vision tower look at a pair, once."""
        self._tick()
        return tuple(self._engine.see(three_views(pair)))

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        """Answer a batch of queries, one answer each, in order."""
        self._tick()
        asked = [Query(q.task, (q.start[0], q.goal[0], *q.before, *q.after)) for q in queries]
        return [
            HopAnswer(Status.OK, min(1.0, max(-1.0, hop)))
            for hop in self._engine.expect(asked).hop.tolist()
        ]


@contextmanager
def asked(checkpoint: Checkpoint, prompt: GrmPrompt, tick: Tick) -> Iterator[AskedHops]:
    """Ask a checkpoint whose weights stay as they are within the block."""
    text = checkpoint.model.model.language_model
    former = text.config._attn_implementation
    try:
        yield AskedHops(Engine(checkpoint, prompt), tick)
    finally:
        text.set_attn_implementation(former)  # the engine's own is for its rows


@dataclass(frozen=True)
class Threshold:
    """When progress counts as success, and why."""

    value: float  # in (0, 1]
    done_level: float  # median level that the demonstration is read at when it is done
    nearly_level: float  # median level held before

    RULE = (
        "nearly + 0.6 (done - nearly), clipped to [0.5, 0.98]: done is the median of the levels held at the end of "
        "the demonstration played at three paces, nearly the 90th percentile of those held before arrival; read on "
        "the demonstration itself, with its own start and goal"
    )


def threshold_of(hop_model: AskedHops, demonstration: Demonstration, frames: int) -> Threshold:
    """Calibrate the success threshold on the demonstration itself.

    :param frames: most frames that are looked at.
    """
    shown, label = thinned(demonstration, frames)
    seen = [hop_model.encode(pair) for pair in shown]
    asker = _Asker(hop_model, demonstration.task, seen)
    runs = perturbed_runs(asker.hops, label, 1)
    return Threshold(
        value=calibrate(runs),
        done_level=float(np.median([run.reached for run in runs])),
        nearly_level=float(np.median([run.nearly for run in runs])),
    )


class _Asker:
    """Asks about moments of one demonstration; each question once."""

    def __init__(self, hop_model: AskedHops, task: str, seen: Sequence[Views]) -> None:
        self._hop_model, self._task, self._seen = hop_model, task, seen
        self._known: dict[tuple[int, int], float] = {}

    def hops(self, copy: int, reference: int, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Hops (T, 3) as ``perturbed_runs`` asks for them; there is one copy, the demonstration as it came."""
        del copy, reference
        last = len(self._seen) - 1
        before = [int(times[0]), *times[:-1].tolist()]
        rows = [
            self._moment([(b, t), (0, t), (last, t)])
            for b, t in zip(before, times.tolist(), strict=True)
        ]
        return np.array(rows)

    def _moment(self, pairs: list[tuple[int, int]]) -> list[float]:
        open_ = [pair for pair in dict.fromkeys(pairs) if pair not in self._known]
        if open_:
            start, goal = self._seen[0], self._seen[-1]
            queries = [
                HopQuery(self._task, start, goal, self._seen[b], self._seen[a]) for b, a in open_
            ]
            answers = self._hop_model.hops(queries)
            self._known |= {p: answer.hop for p, answer in zip(open_, answers, strict=True)}
        return [self._known[pair] for pair in pairs]


@dataclass(frozen=True)
class Curves:
    """How well progress is read over demonstrations; NaN without any."""

    rmse: float  # of fused progress
    voc: float  # rank correlation of fused progress with time


def judge(
    hop_model: AskedHops,
    references: References,
    demonstrations: Sequence[Demonstration],
    frames: int,
) -> Curves:
    """Read demonstrations and compare with their labels.

    :param frames: most frames of each that are looked at.
    """
    errors, orders = [], []
    for demonstration in demonstrations:
        shown, label = thinned(demonstration, frames)
        progress = score_pairs(PairwiseModel(hop_model), references, shown).progress
        errors.append(rmse(progress, label))
        orders.append(voc(progress))
    return Curves(nan_mean(errors), nan_mean(orders))


def thinned(
    demonstration: Demonstration, frames: int
) -> tuple[list[FramePair], NDArray[np.float64]]:
    """Frames spread evenly over a demonstration, both ends included, and their progress."""
    label = progress_of(demonstration, decoded(demonstration, _LOOKED_AT))
    count = len(demonstration.pairs)
    places = np.unique(np.rint(np.linspace(0, count - 1, min(frames, count))).astype(np.int64))
    return [demonstration.pairs[k] for k in places], label[places]
