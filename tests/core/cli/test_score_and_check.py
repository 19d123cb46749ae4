"""Score and check: progress from a back end, references from a demonstration, verdicts on recordings."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dopamine_cli.check import check, find_bags, whole
from dopamine_cli.score import references_for, score
from dopamine_core.episodes import dataset
from dopamine_core.errors import DemonstrationError, RecordingError
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.registry import register_reward_model
from dopamine_core.reward.session import HopAnswer, References
from dopamine_core.types import ModelId, Status
from tests.core.evaluation import synthetic_run

SUCCESS = 2  # a row of the synthetic run


class ClockModel:
    """Hops from the stamps alone: progress is the share of the episode that has passed."""

    model_id = ModelId("clock", "00")
    fast = True
    success_threshold = 0.9

    def encode(self, pair):
        return pair.stamp_ns

    def hops(self, queries):
        answers = []
        for query in queries:
            span = query.goal - query.start
            before, after = ((x - query.start) / span for x in (query.before, query.after))
            gain = after - before
            left = 1 - before if gain >= 0 else before
            answers.append(HopAnswer(Status.OK, gain / left if left else 0.0))
        return answers


register_reward_model("clock", lambda path, fusion: PairwiseModel(ClockModel(), fusion))
app = typer.Typer()
app.command()(score)
app.command()(check)


@pytest.fixture
def episode(monkeypatch):
    data = synthetic_run.load(Path(str(SUCCESS)))
    references = References("insert the peg", (data.pairs[-1],), data.pairs[0])
    data = dataclasses.replace(data, references=references)
    monkeypatch.setattr(dataset, "load_episode", lambda path: data)
    return data


def test_score_writes_one_line_per_decision(episode):
    result = CliRunner().invoke(app, ["score", "bag.mcap", "--model", "clock", "--json"])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    rows, last = lines[:-1], lines[-1]
    assert len(rows) == synthetic_run.STEPS
    assert rows[4]["status"] == "MISSING_FRAME" and rows[4]["progress"] is None
    assert rows[-1]["progress"] == pytest.approx(1.0, abs=1e-6)
    assert last["invalid"] == 1
    assert last["voc_dense"] == pytest.approx(1.0)


def test_score_draws_a_curve_for_people(episode):
    result = CliRunner().invoke(app, ["score", "bag.mcap", "--model", "clock"])
    assert "█" in result.stdout and "·" in result.stdout
    assert "final progress: 1.0" in result.stdout


def test_an_unknown_model_lists_the_known_ones(episode):
    result = CliRunner().invoke(app, ["score", "bag.mcap", "--model", "crystal-ball"])
    assert result.exit_code == 2
    assert "nano" in result.stderr


def test_without_goal_images_it_says_what_to_do():
    data = synthetic_run.load(Path(str(SUCCESS)))
    with pytest.raises(DemonstrationError, match="--goal"):
        references_for(data, None)


def test_check_counts_what_is_missing():
    data = synthetic_run.load(Path(str(SUCCESS)))
    row = whole(data)
    assert (row["frames_lost"], row["potentials_lost"], row["actions_unknown"]) == (1, 1, 29)
    assert row["verdict"] == "incomplete: frames, actions"
    full = dataclasses.replace(
        data,
        actions=np.zeros((synthetic_run.STEPS, 7)),
        pairs=tuple(pair or data.pairs[0] for pair in data.pairs),
    )
    assert whole(full)["verdict"] == "whole"


def test_check_fails_on_a_broken_bag(tmp_path):
    (tmp_path / "broken.mcap").write_bytes(b"not a bag")
    result = CliRunner().invoke(app, ["check", str(tmp_path), "--json"])
    assert result.exit_code == 2
    assert "expected" in json.loads(result.stdout.splitlines()[0])["verdict"]


def test_a_folder_without_bags_is_named(tmp_path):
    with pytest.raises(RecordingError, match="expected MCAP recordings"):
        find_bags([tmp_path])
