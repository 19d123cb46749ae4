"""Stamps, executed actions and an operator's marks come in, the keyframes of a demonstration go out.

Keyframes are where progress changes its nature: the first and last decision, gripper events, and
moments where the motion rests or turns. Progress counts states between them, not time (Eq. 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.config import check, setting

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class KeyframeConfig:
    """What counts as a keyframe."""

    min_gap_s: float = setting(
        0.6, doc="Keyframes lie at least this far apart.", unit="s", low=0.0, high=10.0
    )
    slow_fraction: float = setting(
        0.25,
        doc="The motion rests where its speed falls below this share of the fast part's.",
        low=0.0,
        high=1.0,
    )
    turn_deg: float = setting(
        70.0, doc="The motion turns where its direction changes by more.", unit="deg", low=1.0
    )
    min_step_m: float = setting(
        0.001, doc="Displacement per decision below which direction means nothing.", unit="m"
    )
    gripper_settle_s: float = setting(
        0.3, doc="A gripper event is complete this long after its command.", unit="s", low=0.0
    )
    turn_window: int = setting(
        3, doc="Decisions before and after a moment whose directions are compared.", low=1, high=20
    )

    def __post_init__(self) -> None:
        check(self)


def find_keyframes(
    stamps_ns: Sequence[int],
    actions: FloatArray,
    marked_ns: Sequence[int] = (),
    config: KeyframeConfig | None = None,
) -> tuple[int, ...]:
    """Find the keyframes of a demonstration.

    Where two lie closer than the gap, the first and last decision win over an operator's mark, the
    mark over a gripper event, that over a rest, and that over a turn.

    :param stamps_ns: (N,) decision stamps, increasing.
    :param actions: (N, 7) executed actions as in ``EpisodeData``; NaN rows are no evidence.
    :param marked_ns: moments that the operator marked.
    :returns: increasing decision indices; the first and last always among them, none when N is 0.
    """
    config = config or KeyframeConfig()
    stamps = np.asarray(stamps_ns, np.int64)
    if len(stamps) == 0:
        return ()
    times = (stamps - stamps[0]) / 1e9  # (N,) s
    chosen = [0] if len(stamps) == 1 else [0, len(stamps) - 1]
    for index in _candidates(times, actions, stamps, marked_ns, config):
        if min(abs(times[index] - times[other]) for other in chosen) >= config.min_gap_s:
            chosen.append(index)
    return tuple(sorted(chosen))


def toggle_mark(marked_ns: Sequence[int], now_ns: int, gap_ns: int) -> tuple[int, ...]:
    """Mark a moment; pressing again within the gap takes the former mark back."""
    near = [mark for mark in marked_ns if abs(now_ns - mark) < gap_ns]
    kept = tuple(mark for mark in marked_ns if mark not in near)
    return kept if near else (*kept, now_ns)


def _candidates(
    times: FloatArray,
    actions: FloatArray,
    stamps: NDArray[np.int64],
    marked_ns: Sequence[int],
    config: KeyframeConfig,
) -> Iterator[int]:
    """Candidates, the strongest kind first."""
    for mark in marked_ns:
        yield int(np.abs(stamps - mark).argmin())
    yield from _gripper_events(times, actions[:, 6], config.gripper_settle_s)
    yield from _rests(times, actions[:, :3], config)
    yield from _turns(actions[:, :3], config)


def _gripper_events(times: FloatArray, gripper: FloatArray, settle_s: float) -> list[int]:
    """Decisions at which a change of the gripper's level is complete."""
    known = np.flatnonzero(np.isfinite(gripper))
    closed = gripper[known] > 0.5
    changes = known[1:][closed[1:] != closed[:-1]]
    done = np.searchsorted(times, times[changes] + settle_s)
    return [min(int(index), len(times) - 1) for index in done]


def _rests(times: FloatArray, moves: FloatArray, config: KeyframeConfig) -> list[int]:
    """Slowest decision of each stretch in which the motion rests."""
    if len(times) < 3:
        return []
    speed = np.linalg.norm(moves[:-1], axis=1) / np.diff(times)  # (N - 1,) m/s
    fast = np.nanpercentile(speed, 75) if np.isfinite(speed).any() else 0.0
    if fast * np.median(np.diff(times)) < config.min_step_m:
        return []
    stretches = _stretches(speed < config.slow_fraction * fast)
    return [start + int(np.nanargmin(speed[start:stop])) for start, stop in stretches]


def _turns(moves: FloatArray, config: KeyframeConfig) -> list[int]:
    """Sharpest decision of each stretch in which the direction changes."""
    count, window = len(moves), config.turn_window
    angle = np.zeros(count)  # (N,) rad
    for k in range(window, count - window):
        before, after = moves[k - window : k].sum(axis=0), moves[k : k + window].sum(axis=0)
        angle[k] = _angle(before, after, config.min_step_m * window)
    return [
        start + _middle_of_peak(angle[start:stop])
        for start, stop in _stretches(angle > np.radians(config.turn_deg))
    ]


def _middle_of_peak(values: FloatArray) -> int:
    """Index in the middle of the largest values; a reversal is a plateau of them."""
    peak = np.flatnonzero(values >= values.max() - 1e-6)
    return int(peak[len(peak) // 2])


def _angle(before: FloatArray, after: FloatArray, least_m: float) -> float:
    """Angle between two displacements; 0 where one is too short or unknown."""
    lengths = np.linalg.norm(before), np.linalg.norm(after)
    if not min(lengths) >= least_m:  # also when NaN
        return 0.0
    return float(np.arccos(np.clip(before @ after / (lengths[0] * lengths[1]), -1.0, 1.0)))


def _stretches(holds: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open index ranges in which a condition holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
