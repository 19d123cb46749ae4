"""Figures of a run whose truth is known, and the laws of the small statistics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from dopamine_core.evaluation.report_summary import (
    fisher,
    relative_error_p99,
    spread,
    summarise,
    wilson,
)
from dopamine_core.evaluation.run_log import RunLog, read_run
from tests.core.evaluation import synthetic_run


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("run")
    synthetic_run.write_run(run_dir)
    return summarise(read_run(run_dir))


def test_successes_are_counted_as_declared_and_as_true(summary):
    rollouts = summary["success"]["rollouts"]
    assert rollouts["episodes"] == 9
    assert rollouts["declared"] == 5
    assert rollouts["true"] == 5
    assert rollouts["false_successes"] == 1
    assert rollouts["missed_successes"] == 1
    assert summary["success"]["demonstrations"]["episodes"] == 2


def test_learning_compares_first_and_last_third(summary):
    learning = summary["learning"]
    assert learning["judge"] == "simulator"
    assert (learning["first"]["successes"], learning["last"]["successes"]) == (0, 3)
    assert learning["p_value"] == pytest.approx(0.1)
    assert learning["return_last"] > learning["return_first"]


def test_invalid_potentials_are_counted_and_not_averaged(summary):
    row = summary["episodes"][2]
    assert row["invalid_potentials"] == 1
    assert row["final_progress"] == pytest.approx(0.6)


def test_timing_is_measured_from_stamps(summary):
    assert summary["control"]["decision_period_ms"]["p50"] == pytest.approx(100.0)
    assert summary["control"]["tick_period_ms"]["p50"] == pytest.approx(20.0, abs=0.1)
    assert 0.0 < summary["control"]["tick_error_p99"] < 0.1
    assert summary["latency_ms"]["frame_age"]["p50"] > 12.0
    assert (
        summary["latency_ms"]["frame_age_while_learning"]["n"]
        < summary["latency_ms"]["frame_age"]["n"]
    )


def test_waiting_reason_is_kept(summary):
    assert list(summary["learner"]["waiting_s"]) == ["a train goal"]


def test_phases_split_the_episodes(summary):
    phases = summary["success"]["by_phase"]
    assert list(phases) == ["practice"]
    assert phases["practice"]["episodes"] == 9


def test_a_run_without_anything_gives_none_and_no_error(tmp_path):
    RunLog(tmp_path, {}).close()
    summary = summarise(read_run(tmp_path))
    assert summary["learning"] is None
    assert summary["learner"] is None
    assert summary["latency_ms"]["frame_age"] is None
    assert summary["control"]["tick_error_p99"] is None
    assert summary["success"]["rollouts"]["declared_interval"] is None


def test_a_slow_loop_is_an_error_against_the_nominal_period():
    assert relative_error_p99([30.0] * 20, 20.0) == pytest.approx(0.5)
    assert relative_error_p99([20.0] * 5, 20.0) is None
    assert spread([]) is None


@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_fisher_equals_scipy(n_a, n_b, data):
    a, b = data.draw(st.integers(0, n_a)), data.draw(st.integers(0, n_b))
    expected = fisher_exact([[a, n_a - a], [b, n_b - b]]).pvalue
    assert fisher(a, n_a, b, n_b) == pytest.approx(expected, rel=1e-6)


@given(st.integers(1, 200), st.data())
def test_wilson_holds_the_rate_and_stays_in_range(episodes, data):
    successes = data.draw(st.integers(0, episodes))
    low, high = wilson(successes, episodes)
    assert 0.0 <= low <= successes / episodes <= high <= 1.0


def test_wilson_table():
    # Reference: 8 of 10 gives 0.490 to 0.943.
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert wilson(0, 0) is None
