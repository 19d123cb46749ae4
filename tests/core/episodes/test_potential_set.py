"""A set of potentials beside a recording: whole or not at all, there and back, one model per episode."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from dopamine_core.episodes.dataset import load_episode
from dopamine_core.episodes.potential_set import (
    PotentialSet,
    file_of,
    files_of,
    load_set,
    save_set,
    with_potentials,
)
from dopamine_core.errors import RecordingError
from dopamine_core.types import ModelId, Outcome, Potential, Reading, Status
from tests.core.reward.recorded import LIVE, write_bar_episode

BETTER = ModelId("better", "22" * 32, adapted=True)


def answers(count: int, model: ModelId = BETTER) -> tuple[Potential, ...]:
    """Valid readings with every field set, and one invalid one."""
    made = []
    for k in range(count):
        reading = Reading(
            Status.OK,
            hop=(math.nan, 0.1 * k, -0.1),
            reading=(math.nan, 0.1 * k, 0.2),
            progress=0.1 * k,
            success_probability=0.01 * k,
            inference_ns=7 * k,
        )
        made.append(Potential(0, "e1", k, reading, 0.1 * k, k > 2, model))
    bad = Reading(Status.MISSING_FRAME, "lost", progress=0.1)
    made[1] = dataclasses.replace(made[1], reading=bad, potential=math.nan)
    return tuple(made)


def labelled(bag: Path, model: ModelId = BETTER) -> PotentialSet:
    episode = load_episode(bag)
    potentials = tuple(
        dataclasses.replace(answer, decision_stamp_ns=decision.stamp_ns)
        for answer, decision in zip(answers(len(episode), model), episode.decisions, strict=True)
    )
    return PotentialSet(episode.info, model, "ab" * 32, potentials)


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return write_bar_episode(tmp_path, "e1", [0.0, 0.2, 0.4, 0.6])


def test_a_set_comes_back_from_its_file(bag: Path) -> None:
    one = labelled(bag)
    path = save_set(one, bag)
    assert path == file_of(bag, one.labels_sha256) and files_of(bag) == [path]
    assert repr(load_set(path, one.info)) == repr(one)  # NaN does not equal itself
    assert [item.name for item in bag.parent.iterdir() if "partial" in item.name] == []


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "gone"])
def test_a_damaged_set_is_named(bag: Path, damage: str) -> None:
    one = labelled(bag)
    path = save_set(one, bag)
    text = path.read_text()
    if damage == "gone":
        path.unlink()
    else:
        path.write_text(
            {"cut": text[:-40], "empty": "{}", "other": text.replace('"e1"', '"e2"')}[damage]
        )
    with pytest.raises(RecordingError, match="the relabel node makes it again"):
        load_set(path, one.info)


def test_an_episode_takes_a_whole_set_and_nothing_of_before_is_left(bag: Path) -> None:
    episode = load_episode(bag)
    assert {p.model for p in episode.potentials if p} == {LIVE}
    new = with_potentials(episode, labelled(bag))
    assert {p.model for p in new.potentials if p} == {BETTER}
    assert [p.index for p in new.potentials if p] == [0, 1, 2, 3]
    assert new.pairs is episode.pairs


def test_an_incomplete_mixed_or_foreign_set_is_refused(bag: Path) -> None:
    episode, whole = load_episode(bag), labelled(bag)
    short = dataclasses.replace(whole, potentials=whole.potentials[:-1])
    mixed = dataclasses.replace(
        whole, potentials=(*whole.potentials[:-1], labelled(bag, LIVE).potentials[-1])
    )
    foreign = dataclasses.replace(whole, info=dataclasses.replace(whole.info, episode_id="e2"))
    for bad, words in ((short, "1 without an answer"), (mixed, "2 models"), (foreign, "'e2'")):
        with pytest.raises(RecordingError, match=words):
            with_potentials(episode, bad)


def test_a_recording_is_loaded_beyond_its_success_and_with_a_corrected_end(tmp_path: Path) -> None:
    bag = write_bar_episode(
        tmp_path, "e1", [0.0, 0.5, 1.0, 1.0], outcome=Outcome.SUCCESS, success_index=2
    )
    assert len(load_episode(bag)) == 3
    whole = load_episode(bag, to_success=False)
    assert len(whole) == 4 and whole.info.success_ns > 0
    failed = dataclasses.replace(whole.info, outcome=Outcome.FAILURE, success_ns=0)
    corrected = load_episode(bag, info=failed)
    assert len(corrected) == 4 and corrected.info.outcome is Outcome.FAILURE
