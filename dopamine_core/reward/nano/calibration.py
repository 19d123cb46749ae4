"""A tuned head and the demonstration under changed light and pace come in; the success threshold goes out.

No simulator is asked: what the demonstration shows at its end is done, what it shows before is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.evaluation.score import curves
from dopamine_core.reward.success import CONSECUTIVE, held_level

PACES = (1, 2, 3)  # decisions per shown frame
LOWEST, HIGHEST = 0.5, 0.98
_UNDECIDED = 2  # frames before arrival that may or may not be done
_NEARLY_QUANTILE = 0.9
_LEAN = 0.6

AskHops = Callable[[int, int, NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True)
class PerturbedRun:
    """One perturbed run of the demonstration: what the model reads and what is true."""

    progress: NDArray[np.float64]  # (T,) fused
    arrived: int  # first index that is done

    @property
    def reached(self) -> float:
        """Highest level held by the success rule anywhere in the run."""
        return held_level(self.progress)

    @property
    def nearly(self) -> float:
        """The same before the run is done, or may be."""
        return held_level(self.progress[: max(1, self.arrived)])


def perturbed_runs(ask: AskHops, label: NDArray[np.float64], copies: int) -> list[PerturbedRun]:
    """Play the demonstration's copies, each against another one's references, at several paces.

    :param ask: given copy, reference copy and moments (T,), answers hops (T, 3): incremental, forward, backward.
    :param label: (F,) progress of the demonstration's frames.
    :param copies: number of copies, at least two.
    """
    frames, runs = len(label), []
    for copy in range(copies):
        for pace in PACES:
            times = np.unique(np.append(np.arange(0, frames, pace), frames - 1))
            times = np.append(
                times, [frames - 1] * (CONSECUTIVE - 1)
            )  # the end is seen often enough
            hops = ask(copy, (copy + 1) % copies, times)
            arrived = int(np.searchsorted(times, int(np.argmax(label >= 1.0)) - _UNDECIDED))
            runs.append(PerturbedRun(curves(hops)["fused"], arrived))
    return runs


def calibrate(runs: Sequence[PerturbedRun]) -> float:
    """Threshold between "nearly done" and "done", nearer to the former: on other scenes both are read lower."""
    done = float(np.median([run.reached for run in runs]))
    nearly = float(np.quantile([run.nearly for run in runs], _NEARLY_QUANTILE))
    return float(np.clip(nearly + _LEAN * max(done - nearly, 0.0), LOWEST, HIGHEST))
