"""Demo plan and settings: arithmetic of time, and what the file and the options give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_cli.demo_plan import Budget, episode_guess_s, next_batch
from dopamine_cli.demo_settings import load_demo_settings
from dopamine_core.errors import ConfigError


@pytest.mark.parametrize(
    ("left_s", "episode_s", "wanted", "expected"),
    [
        (600.0, 10.0, None, 5),  # plenty of time: a full batch
        (25.0, 10.0, None, 2),  # only whole rollouts
        (9.9, 10.0, None, 0),  # none fits
        (600.0, 10.0, 3, 3),  # no more than wanted
        (600.0, 10.0, 0, 0),
        (0.0, 10.0, 4, 0),
    ],
)
def test_batches(left_s, episode_s, wanted, expected):
    assert next_batch(left_s=left_s, episode_s=episode_s, wanted=wanted) == expected


@given(st.floats(0, 1e5), st.floats(0.1, 100), st.one_of(st.none(), st.integers(0, 1000)))
def test_a_batch_never_exceeds_the_time(left_s, episode_s, wanted):
    batch = next_batch(left_s=left_s, episode_s=episode_s, wanted=wanted)
    assert batch >= 0
    assert batch * episode_s <= left_s
    assert wanted is None or batch <= wanted


def test_the_budget_keeps_time_for_the_report():
    budget = Budget(total_s=300.0, report_s=25.0)
    assert budget.left_s(0.0) == 275.0
    assert budget.left_s(290.0) == 0.0


def test_faster_time_makes_shorter_episodes():
    assert episode_guess_s(8.0, 2.0) == episode_guess_s(8.0, 1.0) / 2


def test_quick_changes_what_its_block_says_and_nothing_else():
    full, quick = load_demo_settings(quick=False), load_demo_settings(quick=True)
    assert (full.demonstrations, full.rollouts, full.minutes) == (15, 0, 20.0)
    assert (quick.demonstrations, quick.rollouts, quick.minutes) == (3, 4, 5.0)
    assert quick.task == full.task
    assert quick.quick and not full.quick


def test_options_win_over_the_file():
    settings = load_demo_settings(quick=True, minutes=2.0, seed=None)
    assert settings.minutes == 2.0
    assert settings.seed == 0


def test_bad_settings_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"speed in \[0.1"):
        load_demo_settings(quick=False, speed=-1.0)
    path = tmp_path / "demo.yaml"
    path.write_text("demonstration: 3\n")
    with pytest.raises(ConfigError, match="unknown demonstration"):
        load_demo_settings(path, quick=False)
