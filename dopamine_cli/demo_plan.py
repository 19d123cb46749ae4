"""Settings and measured times in, how many episodes still fit out; pure arithmetic on a hand-made clock."""

from __future__ import annotations

from dataclasses import dataclass

REPORT_S = 25.0  # writing report and video, closing the graph
RESET_S = 4.0  # first guess of what comes between two rollouts, stream time


@dataclass(frozen=True)
class Budget:
    """Wall time of a run.

    :param total_s: for everything.
    :param report_s: kept free for the report.
    """

    total_s: float
    report_s: float = REPORT_S

    def left_s(self, elapsed_s: float) -> float:
        """Time left for the robot."""
        return max(0.0, self.total_s - self.report_s - elapsed_s)


def episode_guess_s(time_limit_s: float, speed: float) -> float:
    """Wall time of one rollout and its reset before any was measured."""
    return (time_limit_s + RESET_S) / speed


def next_batch(*, left_s: float, episode_s: float, wanted: int | None, largest: int = 5) -> int:
    """Say how many rollouts to ask for next.

    :param left_s: wall time left for practice.
    :param episode_s: wall time that one rollout takes, as measured or guessed.
    :param wanted: rollouts still wanted; ``None``: as many as fit.
    :param largest: most at a time, so that the estimate is renewed often.
    """
    fitting = int(left_s // episode_s) if episode_s > 0 else largest
    batch = min(largest, fitting)
    return max(0, batch if wanted is None else min(batch, wanted))
