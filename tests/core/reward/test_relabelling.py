"""Whole recordings answered anew: computed once, kept beside the recording, never half."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dopamine_core.episodes.dataset import load_episode
from dopamine_core.episodes.potential_set import files_of
from dopamine_core.errors import DemonstrationError, ModelError
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.relabelling import Relabeller
from dopamine_core.reward.success import SuccessConfig
from dopamine_core.types import EpisodeKind, Outcome, Status
from tests.core.episodes.hand_made import START
from tests.core.reward.recorded import write_bar_episode
from tests.core.reward.toy_model import BarModel

DAY = 86_400 * 10**9
SHARES = [0.0, 0.25, 0.5, 0.5, 0.75, 1.0, 1.0, 1.0]


class Counting(BarModel):
    """Counts what it is asked, and breaks when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.broken = False

    def hops(self, queries):  # noqa: ANN001, ANN201
        """Answer and count."""
        self.asked += 1
        if self.broken and self.asked > 3:
            raise RuntimeError("out of memory")
        return super().hops(queries)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A demonstration, then a rollout."""
    write_bar_episode(
        tmp_path,
        "20260101_demo",
        SHARES,
        kind=EpisodeKind.DEMONSTRATION,
        outcome=Outcome.SUCCESS,
    )
    write_bar_episode(tmp_path, "20260102_roll", SHARES, start_ns=START + DAY, lost=[3])
    return tmp_path


def quiet(done: int, count: int) -> None:
    """Take no notice."""


def test_every_decision_is_answered_and_the_second_time_costs_nothing(folder: Path) -> None:
    bag, model, told = folder / "20260102_roll.mcap", Counting(), []
    first, computed = Relabeller(PairwiseModel(model)).run(bag, lambda *at: told.append(at))
    assert computed and told[-1] == (len(SHARES), len(SHARES))
    assert [p.reading.status for p in first.potentials] == [Status.OK] * 3 + [
        Status.MISSING_FRAME
    ] + [Status.OK] * 4
    assert [p.potential for p in first.potentials if p.reading.ok] == pytest.approx(
        SHARES[:3] + SHARES[4:], abs=0.04
    )
    stamps = [decision.stamp_ns for decision in load_episode(bag).decisions]
    assert [p.decision_stamp_ns for p in first.potentials] == stamps
    asked = model.asked
    again, computed = Relabeller(PairwiseModel(model)).run(bag, quiet)
    assert not computed and model.asked == asked
    assert repr(again) == repr(first)


def test_other_settings_make_another_set(folder: Path) -> None:
    bag = folder / "20260102_roll.mcap"
    one, _ = Relabeller(PairwiseModel(BarModel())).run(bag, quiet)
    rule = SuccessConfig(threshold=0.4, consecutive=1)
    other, computed = Relabeller(PairwiseModel(BarModel()), success=rule).run(bag, quiet)
    fusion = FusionConfig(mode="consistency")
    third, _ = Relabeller(PairwiseModel(BarModel(), fusion), fusion=fusion).run(bag, quiet)
    assert computed and len({one.labels_sha256, other.labels_sha256, third.labels_sha256}) == 3
    assert len(files_of(bag)) == 3


def test_later_demonstrations_do_not_change_a_set(folder: Path) -> None:
    bag = folder / "20260102_roll.mcap"
    one, _ = Relabeller(PairwiseModel(BarModel())).run(bag, quiet)
    write_bar_episode(
        folder,
        "20260103_demo",
        SHARES,
        start_ns=START + 2 * DAY,
        kind=EpisodeKind.DEMONSTRATION,
        outcome=Outcome.SUCCESS,
    )
    other, computed = Relabeller(PairwiseModel(BarModel())).run(bag, quiet)
    assert not computed and other.labels_sha256 == one.labels_sha256


def test_a_damaged_set_is_made_again(folder: Path) -> None:
    bag = folder / "20260102_roll.mcap"
    first, _ = Relabeller(PairwiseModel(BarModel())).run(bag, quiet)
    [path] = files_of(bag)
    path.write_bytes(path.read_bytes()[:200])
    again, computed = Relabeller(PairwiseModel(BarModel())).run(bag, quiet)
    values = [[repr(p.potential) for p in one.potentials] for one in (first, again)]
    assert computed and values[0] == values[1]


def test_a_model_that_breaks_leaves_nothing_and_is_asked_anew(folder: Path) -> None:
    bag, model = folder / "20260102_roll.mcap", Counting()
    model.broken = True
    with pytest.raises(ModelError, match="out of memory"):
        Relabeller(PairwiseModel(model)).run(bag, quiet)
    assert files_of(bag) == [] and not [n for n in os.listdir(folder) if "partial" in n]
    model.broken = False
    assert Relabeller(PairwiseModel(model)).run(bag, quiet)[1]


def test_a_batch_that_is_too_large_is_asked_one_by_one(folder: Path) -> None:
    class Small(BarModel):
        """Holds no more than one sample's queries."""

        def hops(self, queries):  # noqa: ANN001, ANN202
            """Refuse more."""
            if len(queries) > 3:
                raise RuntimeError("out of memory")
            return super().hops(queries)

    bag = folder / "20260102_roll.mcap"
    small, _ = Relabeller(PairwiseModel(Small()), batch=4).run(bag, quiet)
    assert [p.potential for p in small.potentials if p.reading.ok] == pytest.approx(
        SHARES[:3] + SHARES[4:], abs=0.04
    )


def test_stopping_in_mid_episode_leaves_nothing(folder: Path) -> None:
    def stop(done: int, count: int) -> None:
        if done >= 2:
            raise KeyboardInterrupt

    bag = folder / "20260102_roll.mcap"
    with pytest.raises(KeyboardInterrupt):
        Relabeller(PairwiseModel(BarModel())).run(bag, stop)
    assert files_of(bag) == []


def test_without_a_demonstration_before_it_there_is_no_goal(tmp_path: Path) -> None:
    bag = write_bar_episode(tmp_path, "20260102_roll", SHARES)
    write_bar_episode(
        tmp_path,
        "20260103_demo",
        SHARES,
        start_ns=START + DAY,
        kind=EpisodeKind.DEMONSTRATION,
        outcome=Outcome.SUCCESS,
    )
    with pytest.raises(DemonstrationError, match=r"before 20260102_roll\.mcap"):
        Relabeller(PairwiseModel(BarModel())).run(bag, quiet)
