"""A learner with relabelled labels: whole sets only, one model per episode, corrections and restarts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.episodes.dataset import load_episode
from dopamine_core.episodes.potential_set import PotentialSet
from dopamine_core.errors import LearnerError, RecordingError
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.relabelling import Relabeller
from dopamine_core.types import EpisodeKind, ModelId, Outcome
from dopamine_rl_node import relabelled_episodes
from dopamine_rl_node.relabelled_episodes import RelabelledEpisodes
from tests.core.episodes.hand_made import START
from tests.core.reward.recorded import LIVE_PHI, write_bar_episode
from tests.core.reward.toy_model import BarModel

DAY = 86_400 * 10**9
SHARES = [0.0, 0.25, 0.5, 0.75, 1.0]


class Other(BarModel):
    """The same under another name."""

    model_id = ModelId("other", "07e3")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A demonstration and two rollouts."""
    success = {"kind": EpisodeKind.DEMONSTRATION, "outcome": Outcome.SUCCESS}
    write_bar_episode(tmp_path, "20260101_demo", SHARES, **success)  # type: ignore[arg-type]
    for k in (2, 3):
        write_bar_episode(tmp_path, f"2026010{k}_roll", SHARES, start_ns=START + k * DAY)
    return tmp_path


def answered(bag: Path, model: type[BarModel] = BarModel) -> PotentialSet:
    return Relabeller(PairwiseModel(model())).run(bag, lambda done, count: None)[0]


def phi(episode: EpisodeData | None) -> list[float]:
    assert episode is not None
    return [round(p.potential, 2) for p in episode.potentials if p]


def test_live_potentials_are_not_learned_from_and_the_whole_set_is(folder: Path) -> None:
    told: list[str] = []
    labels, bag = RelabelledEpisodes(told.append), folder / "20260102_roll.mcap"
    episode = load_episode(bag)
    assert set(phi(episode)) == {round(LIVE_PHI, 2)}
    labels.on_episode(episode.info)
    assert labels.next() is None
    assert "1 episode(s), 20260102_roll closed" in labels.waiting_for()
    labels.on_set(answered(bag))
    assert labels.waiting_for() == ""
    given = labels.next()
    assert phi(given) == pytest.approx(SHARES, abs=0.04)
    assert given is not None and {p.model.name for p in given.potentials if p} == {"bar"}
    assert labels.next() is None and told == []


def test_an_incomplete_set_is_said_and_its_episode_left_out(folder: Path) -> None:
    told: list[str] = []
    labels, bag = RelabelledEpisodes(told.append), folder / "20260102_roll.mcap"
    whole = answered(bag)
    labels.on_set(dataclasses.replace(whole, potentials=whole.potentials[:-1]))
    labels.on_set(answered(folder / "20260103_roll.mcap"))
    given = labels.next()
    assert given is not None and given.info.episode_id == "20260103_roll"
    assert "1 without an answer" in told[0] and "20260102_roll is left out" in told[0]
    labels.on_set(dataclasses.replace(whole, labels_sha256="another"))
    assert labels.next() is not None  # a later, whole set is taken


def test_a_correction_gives_the_episode_out_again_with_all_its_decisions(tmp_path: Path) -> None:
    success = {"kind": EpisodeKind.DEMONSTRATION, "outcome": Outcome.SUCCESS}
    write_bar_episode(tmp_path, "20260101_demo", SHARES, **success)  # type: ignore[arg-type]
    bag = write_bar_episode(
        tmp_path,
        "20260102_roll",
        SHARES,
        start_ns=START + DAY,
        outcome=Outcome.SUCCESS,
        success_index=2,
    )
    labels = RelabelledEpisodes(print)
    labels.on_set(answered(bag))
    first = labels.next()
    assert first is not None and len(first) == 3 and labels.next() is None
    info = first.info
    failed = dataclasses.replace(
        info, outcome=Outcome.FAILURE, success_ns=0, stamp_ns=info.stamp_ns + 1
    )
    labels.on_episode(failed)
    again = labels.next()
    assert again is not None and again.info.outcome is Outcome.FAILURE
    assert phi(again) == pytest.approx(SHARES, abs=0.04)
    labels.on_episode(failed)  # a repetition
    labels.on_set(answered(bag))  # and a node that was restarted
    assert labels.next() is None


def test_a_correction_before_the_set_counts(folder: Path) -> None:
    labels, bag = RelabelledEpisodes(print), folder / "20260102_roll.mcap"
    info = load_episode(bag).info
    labels.on_episode(info)
    labels.on_episode(dataclasses.replace(info, outcome=Outcome.DISCARDED))
    assert labels.waiting_for() == ""
    labels.on_episode(info)
    later = dataclasses.replace(info, outcome=Outcome.FAILURE, stamp_ns=info.stamp_ns + 1)
    labels.on_set(answered(bag))
    labels.on_episode(later)
    given = labels.next()
    assert given is not None and given.info.outcome is Outcome.FAILURE


def test_what_cannot_be_relabelled_is_said_and_no_longer_waited_for(folder: Path) -> None:
    told: list[str] = []
    labels, bag = RelabelledEpisodes(told.append), folder / "20260102_roll.mcap"
    info = load_episode(bag).info
    labels.on_episode(info)
    labels.on_refusal(info, "out of memory")
    assert labels.waiting_for() == "" and "out of memory" in told[0]
    labels.on_episode(dataclasses.replace(info, bag_path=""))
    assert "is not recorded" in told[1]
    with pytest.raises(LearnerError, match="out of memory"):
        labels.load([str(bag)], lambda what: None)


def test_training_waits_for_whole_sets_and_practice_loaded_there_is_not_given_again(
    folder: Path,
) -> None:
    labels = RelabelledEpisodes(print)
    bags = [folder / "20260101_demo.mcap", folder / "20260102_roll.mcap"]
    waits: list[str] = []

    def wait(what: str) -> None:
        waits.append(what)
        labels.on_set(answered(bags[len(waits) - 1]))

    episodes = labels.load([str(bag) for bag in bags], wait)
    assert [phi(episode)[-1] for episode in episodes] == [1.0, 1.0]
    assert [episode.info.bag_path for episode in episodes] == [str(bag) for bag in bags]
    assert "20260101_demo.mcap" in waits[0] and "relabel node" in waits[0] and len(waits) == 2
    assert labels.next() is None
    labels.begin()  # another learner takes everything
    assert labels.next() is not None


def test_training_that_is_taken_back_waits_no_longer(folder: Path) -> None:
    def wait(what: str) -> None:
        raise LearnerError(expected=what, got="a cancellation", remedy="")

    with pytest.raises(LearnerError, match="a cancellation"):
        RelabelledEpisodes(print).load([str(folder / "20260101_demo.mcap")], wait)


def test_training_does_not_wait_for_a_broken_recording(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mcap"
    broken.write_bytes(b"not a bag")
    with pytest.raises(RecordingError, match=r"broken\.mcap"):
        RelabelledEpisodes(print).load([str(broken)], lambda what: pytest.fail(what))


def test_sets_of_another_model_than_the_present_one_are_not_mixed_in(folder: Path) -> None:
    labels = RelabelledEpisodes(print)
    labels.on_set(answered(folder / "20260102_roll.mcap"))
    labels.on_set(answered(folder / "20260103_roll.mcap", Other))  # the node was restarted with it
    given = labels.next()
    assert given is not None and given.info.episode_id == "20260103_roll"
    assert labels.next() is None
    labels.on_set(answered(folder / "20260102_roll.mcap", Other))
    assert labels.next() is not None


def test_old_sets_are_read_from_beside_their_recordings(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relabelled_episodes, "_IN_MEMORY", 1)
    labels = RelabelledEpisodes(print)
    for k in (2, 3):
        labels.on_set(answered(folder / f"2026010{k}_roll.mcap"))
    assert [phi(labels.next())[-1] for _ in range(2)] == [1.0, 1.0]
