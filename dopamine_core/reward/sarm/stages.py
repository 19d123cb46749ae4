"""Keyframes of demonstrations come in, the stage of each frame and how stages add up to progress go out.

After SARM (arXiv 2509.25358): a stage k takes a share of a demonstration's time, its mean over the demonstrations is
``share[k]``, and progress is what the stages before it took plus ``share[k] * tau``, with tau in [0, 1] within the
stage. One more class stands for "done", so that arrived differs from nearly there; the last ``done_share`` of
progress is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.episodes.demonstration import Demonstration
from dopamine_core.errors import DemonstrationError

MATCH, EXACT, SINGLE = "match", "exact", "single"
#: Where stages come from: the usual number of keyframes; keyframes, which must be equally many; one stage.
STAGES = (MATCH, EXACT, SINGLE)


@dataclass(frozen=True)
class StagePlan:
    """How classes add up to progress; the last class is "done".

    :param base: (K + 1,) progress at which a class begins; 1 for "done".
    :param share: (K + 1,) progress that a class takes; 0 for "done".
    """

    base: NDArray[np.float64]
    share: NDArray[np.float64]

    @property
    def stages(self) -> int:
        """Number of stages, "done" not counted."""
        return len(self.base) - 1

    @property
    def marks(self) -> NDArray[np.float64]:
        """Where stages begin and the last one ends, as shares of the time: (K + 1,) from 0 to 1."""
        times = np.concatenate([[0.0], np.cumsum(self.share[:-1])])
        return times / times[-1]

    def progress(
        self, probability: NDArray[np.float64], tau: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Expected progress and its standard deviation over the classes: (...,) each.

        :param probability: (..., K + 1) of the classes.
        :param tau: (..., K + 1) progress within each, in [0, 1].
        """
        value = self.base + self.share * tau
        mean = (probability * value).sum(-1)
        variance = (probability * (value - mean[..., None]) ** 2).sum(-1)
        return np.clip(mean, 0.0, 1.0), np.sqrt(variance)  # clipped: float rounding


@dataclass(frozen=True)
class StageLabels:
    """Truth of one demonstration's frames."""

    stage: NDArray[np.int64]  # (T,) class; K from arrival on
    tau: NDArray[np.float32]  # (T,) within the stage
    arrived: int  # first frame that is done


def label_stages(marks: Sequence[int], frames: int) -> StageLabels:
    """Label frames by marks.

    :param marks: rising frame indices, first 0, the last one is arrival.
    :param frames: length of the demonstration.
    """
    at = np.arange(frames)
    bounds = np.asarray(marks, np.int64)
    stage = np.searchsorted(bounds, at, side="right") - 1
    inner = np.minimum(stage, len(bounds) - 2)
    tau = (at - bounds[inner]) / (bounds[inner + 1] - bounds[inner])
    return StageLabels(stage, np.clip(tau, 0.0, 1.0).astype(np.float32), int(bounds[-1]))


def plan_of(marks: Sequence[Sequence[int]], done_share: float) -> StagePlan:
    """Average the shares of the stages over demonstrations.

    :param marks: of each demonstration, equally many.
    :param done_share: progress between the end of the last stage and "done", in [0, 1).
    """
    shares = np.mean([np.diff(one) / one[-1] for one in marks], axis=0) * (1.0 - done_share)
    base = np.concatenate([[0.0], np.cumsum(shares)[:-1], [1.0]])
    return StagePlan(base, np.append(shares, 0.0))


def marks_like(
    demonstrations: Sequence[Demonstration], arrivals: Sequence[int], plan: StagePlan
) -> list[list[int]]:
    """Choose the marks of other demonstrations by a plan that is there.

    :raises DemonstrationError: when one is too short for the stages.
    """
    return _checked(demonstrations, match_marks(_every_mark(demonstrations, arrivals), plan.marks))


def stage_marks(
    demonstrations: Sequence[Demonstration], arrivals: Sequence[int], stages: str = MATCH
) -> list[list[int]]:
    """Choose the marks of each demonstration, equally many: keyframes, the last one replaced by arrival.

    :param arrivals: frame of each from which its last picture is reached.
    :param stages: ``match``, ``exact`` or ``single``; see ``STAGES``.
    :raises DemonstrationError: when one is too short for the stages, or ``exact`` numbers differ.
    """
    marks = _every_mark(demonstrations, arrivals)
    if stages == SINGLE:
        return [[0, arrived] for arrived in arrivals]
    counts = [len(one) for one in marks]
    if stages == EXACT and len(set(counts)) > 1:
        few, many = counts.index(min(counts)), counts.index(max(counts))
        raise DemonstrationError(
            expected="the same number of keyframes in every demonstration of a task",
            got=f"{counts[few]} in episode {demonstrations[few].episode_id!r}, "
            f"{counts[many]} in {demonstrations[many].episode_id!r}",
            remedy="mark the same moments in each, or train with stages: match",
        )
    return _checked(demonstrations, match_marks(marks))


def match_marks(
    marks: Sequence[Sequence[int]], usual: NDArray[np.float64] | None = None
) -> list[list[int]]:
    """Bring every demonstration to the usual number of marks.

    Marks are paired with the usual ones in order, by the least squared distance in shares of the time. Surplus ones
    are left out; missing ones are put in between, at the usual share of the way from mark to mark.

    :param marks: of each demonstration; the first 0, the last one is arrival.
    :param usual: shares from 0 to 1; when left out, the mean of the demonstrations with a median number of marks.
    """
    shares = [np.asarray(one) / one[-1] for one in marks]
    if usual is None:
        count = sorted(len(one) for one in marks)[(len(marks) - 1) // 2]
        usual = np.mean([share for share in shares if len(share) == count], axis=0)
    return [_matched(np.asarray(one), usual) for one in marks]


def _matched(marks: NDArray[np.int64], usual: NDArray[np.float64]) -> list[int]:
    shares = marks / marks[-1]
    if len(marks) >= len(usual):
        return [int(marks[k]) for k in _nearest(shares, usual)]
    places = np.interp(usual, usual[_nearest(usual, shares)], marks)
    rising = np.maximum.accumulate(np.round(places).astype(int) - np.arange(len(usual)))
    return [
        int(mark) for mark in np.minimum(rising, marks[-1] + 1 - len(usual)) + np.arange(len(usual))
    ]


def _nearest(shares: NDArray[np.float64], wanted: NDArray[np.float64]) -> list[int]:
    """Increasing indices of the shares that lie nearest to the wanted ones; the first and the last are fixed."""
    cost = (shares[None] - wanted[:, None]) ** 2  # (W, S)
    cost[0, 1:] = cost[-1, :-1] = np.inf
    total = cost.copy()
    came_from = np.zeros(cost.shape, np.int64)
    for row in range(1, len(cost)):
        for column in range(row, cost.shape[1]):
            came_from[row, column] = int(total[row - 1, :column].argmin())
            total[row, column] += total[row - 1, came_from[row, column]]
        total[row, :row] = np.inf
    chosen = [cost.shape[1] - 1]
    for row in range(len(cost) - 1, 0, -1):
        chosen.append(int(came_from[row, chosen[-1]]))
    return chosen[::-1]


def _checked(demonstrations: Sequence[Demonstration], marks: list[list[int]]) -> list[list[int]]:
    for one, of_one in zip(demonstrations, marks, strict=True):
        if of_one[0] != 0 or (np.diff(of_one) < 1).any():
            raise DemonstrationError(
                expected=f"demonstrations long enough for {len(of_one) - 1} stages",
                got=f"{of_one[-1]} frames until arrival in episode {one.episode_id!r}",
                remedy="leave it out, or train with stages: single",
            )
    return marks


def _every_mark(
    demonstrations: Sequence[Demonstration], arrivals: Sequence[int]
) -> list[list[int]]:
    return [
        [0, *(mark for mark in one.keyframes[1:-1] if mark < arrived), arrived]
        for one, arrived in zip(demonstrations, arrivals, strict=True)
    ]


def check_task(demonstrations: Sequence[Demonstration]) -> None:
    """Check that there are demonstrations, all of one task.

    :raises DemonstrationError: when not.
    """
    if not demonstrations:
        raise DemonstrationError(
            expected="at least one demonstration", got="none", remedy="record one and keep it"
        )
    first = demonstrations[0]
    for other in demonstrations[1:]:
        if other.task != first.task:
            raise DemonstrationError(
                expected="demonstrations of one task",
                got=f"{first.task!r} and {other.task!r}",
                remedy="train one model for each task",
            )
