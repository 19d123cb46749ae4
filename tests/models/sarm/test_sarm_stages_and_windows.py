"""Stages of a demonstration, and the frames that the network looks at."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dopamine_core.reward.sarm.stages import label_stages, match_marks, plan_of
from dopamine_core.reward.sarm.windows import Paths, draw_paths, window_at

SECOND = 1_000_000_000
TENTHS = [k * SECOND // 10 for k in range(21)]


def test_frames_are_labelled_by_their_stage() -> None:
    labels = label_stages([0, 4, 6], 9)
    assert labels.stage.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert labels.tau.tolist() == [0.0, 0.25, 0.5, 0.75, 0.0, 0.5, 1.0, 1.0, 1.0]
    assert labels.arrived == 6


def test_shares_are_the_mean_of_the_demonstrations() -> None:
    plan = plan_of([[0, 2, 10], [0, 8, 20]], 0.2)
    assert plan.share == pytest.approx([0.3 * 0.8, 0.7 * 0.8, 0.0])
    assert plan.base == pytest.approx([0.0, 0.24, 1.0])
    assert plan.stages == 2


def test_progress_is_the_expectation_over_the_stages() -> None:
    plan = plan_of([[0, 5, 10]], 0.0)
    tau = np.array([0.4, 0.2, 0.9])
    certain, spread = plan.progress(np.array([0.0, 1.0, 0.0]), tau)
    assert (certain, spread) == (pytest.approx(0.6), 0.0)
    mixed, spread = plan.progress(np.array([0.5, 0.5, 0.0]), tau)
    assert (mixed, spread) == (pytest.approx(0.4), pytest.approx(0.2))
    assert plan.progress(np.array([0.0, 0.0, 1.0]), tau)[0] == 1.0
    assert np.isnan(plan.progress(np.full(3, np.nan), tau)[0])


def test_progress_rises_along_every_labelled_demonstration() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        marks = [0, *np.cumsum(rng.integers(1, 30, rng.integers(1, 5))).tolist()]
        plan, labels = plan_of([marks], 0.1), label_stages(marks, marks[-1] + 4)
        truth = np.eye(plan.stages + 1)[labels.stage]
        progress, _ = plan.progress(truth, np.tile(labels.tau[:, None], truth.shape[1]))
        assert progress[0] == 0.0 and progress[-1] == 1.0 and (np.diff(progress) >= 0).all()


MATCHED = {
    "equally many stay": ([[0, 5, 10], [0, 2, 10]], [[0, 5, 10], [0, 2, 10]]),
    "surplus ones go": ([[0, 50, 100], [0, 3, 11, 20]], [[0, 50, 100], [0, 11, 20]]),
    "in order": (
        [[0, 50, 60, 100], [0, 10, 54, 56, 80, 100]],
        [[0, 50, 60, 100], [0, 54, 56, 100]],
    ),
    "the median counts": (
        [[0, 2, 10], [0, 6, 10], [0, 1, 4, 8, 10], [0, 10], [0, 5, 10]],
        [[0, 2, 10], [0, 6, 10], [0, 4, 10], [0, 4, 10], [0, 5, 10]],
    ),
    "a missing one is put in between": (
        [[0, 20, 60, 100], [0, 20, 60, 100], [0, 30, 50]],
        [[0, 20, 60, 100], [0, 20, 60, 100], [0, 10, 30, 50]],
    ),
    "marks never fall together": (
        [[0, 1, 2, 100], [0, 1, 2, 100], [0, 20]],
        [[0, 1, 2, 100], [0, 1, 2, 100], [0, 1, 2, 20]],
    ),
}


@pytest.mark.parametrize("case", MATCHED)
def test_marks_at_like_shares_of_the_time_stay(case: str) -> None:
    given, expected = MATCHED[case]
    assert match_marks(given) == expected


def test_matching_finds_the_least_distance() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        few, many = sorted(rng.integers(1, 7, 2).tolist())
        lists = [
            [0, *sorted(rng.choice(np.arange(1, 50), n, replace=False).tolist()), 50]
            for n in (few, many)
        ]
        usual = np.asarray(lists[0]) / 50
        got = match_marks(lists, usual)[1]
        least = min(
            sum((a - b) ** 2 for a, b in zip(chosen, lists[0][1:-1], strict=True))
            for chosen in itertools.combinations(lists[1][1:-1], few)
        )
        assert sum((a - b) ** 2 for a, b in zip(got, lists[0], strict=True)) == least
        assert got[0] == 0 and got[-1] == 50 and sorted(set(got)) == got


def test_matched_marks_always_rise_from_first_to_last() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        counts = rng.integers(0, 7, 4)
        lists = [
            [0, *sorted(rng.choice(np.arange(1, 19), n, replace=False).tolist()), 19]
            for n in counts
        ]
        for one, given in zip(match_marks(lists), lists, strict=True):
            assert one[0] == 0 and one[-1] == given[-1] and (np.diff(one) >= 1).all()
            assert len(one) == sorted(map(len, lists))[1]


WINDOWS = {
    "the newest at equal gaps, after the first": (TENTHS, 5, 0.3, [0, 11, 14, 17, 20]),
    "before the beginning stands the first": (TENTHS[:5], 5, 0.3, [0, 0, 0, 1, 4]),
    "one frame": (TENTHS[:1], 4, 0.3, [0, 0, 0, 0]),
    "lost frames": ([0, SECOND, 2 * SECOND], 4, 0.5, [0, 1, 1, 2]),
    "a clock set back": ([9 * SECOND, 0], 4, 0.5, [0, 0, 0, 1]),
    "only first and newest": (TENTHS, 2, 0.3, [0, 20]),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_the_frames_of_a_window(case: str) -> None:
    stamps, frames, gap_s, expected = WINDOWS[case]
    assert window_at(stamps, frames, gap_s).tolist() == expected


def paths(end: int, back: int = 0, pace: int = 1) -> Paths:
    return Paths(np.array([end]), np.array([back]), np.array([pace]))


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (paths(9), [0, 3, 5, 7, 9]),
        (paths(9, pace=2), [0, 0, 1, 5, 9]),
        (paths(9, back=3), [0, 6, 8, 8, 6]),
        (paths(3), [0, 0, 0, 1, 3]),
        (paths(14), [0, 8, 10, 11, 11]),
        (paths(9, back=9), [0, 6, 4, 2, 0]),
    ],
)
def test_the_frames_of_a_made_up_run(run: Paths, expected: list[int]) -> None:
    assert run.window(5, 2, np.array([12])).tolist() == [expected]


def test_a_forward_run_is_the_window_of_its_stamps() -> None:
    for end in range(1, 21):
        drawn = paths(end).window(5, 3, np.array([21]))[0].tolist()
        assert drawn == window_at(TENTHS[: end + 1], 5, 0.3).tolist()


def test_runs_stay_within_their_demonstrations() -> None:
    rng = np.random.default_rng(0)
    length = rng.integers(10, 60, 500)
    drawn = draw_paths(length, rng, rewind=0.5, hold=6, paces=3)
    assert 0.35 < np.mean(drawn.back > 0) < 0.55
    assert set(drawn.pace.tolist()) == {1, 2, 3}
    assert (drawn.back <= np.minimum(drawn.end, length - 1)).all()
    shown = drawn.window(7, 3, length)
    assert (shown >= 0).all() and (shown < length[:, None]).all() and (shown[:, 0] == 0).all()
