"""Episodes of another reward model are relabelled as a whole; frames are unpacked only when a decision names them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.errors import DemonstrationError, LearnerError, ModelError
from dopamine_core.reward.session import References
from dopamine_core.types import EpisodeKind, ModelId, Reading, Status
from dopamine_rl_node.frame_store import FrameStore
from dopamine_rl_node.present_model import PresentModel, models_of
from tests.core.episodes.hand_made import decision, info, joints, pair, potential

NEW = ModelId("nano", "cd" * 32, adapted=True)


class Answers:
    """A reward model that always says 0.5."""

    fast, success_threshold, success_signal, last = True, 0.9, "progress", None

    def __init__(self, model_id: ModelId) -> None:
        self.model_id = model_id
        self.references: list[References] = []

    def open(self, references: References) -> Answers:
        self.references.append(references)
        return self

    def observe(self, pair: object) -> Reading:
        return Reading(Status.OK, hop=(0, 0, 0), reading=(0.5, 0.5, 0.5), progress=0.5)

    peek = observe


def episode(model: ModelId | None, kind: EpisodeKind = EpisodeKind.DEMONSTRATION) -> EpisodeData:
    answers = [potential(k, 0.1 * k) for k in range(3)]
    labelled = [None if model is None else dataclasses.replace(a, model=model) for a in answers]
    return EpisodeData(
        info(kind=kind),
        tuple(decision(k) for k in range(3)),
        tuple(pair(k) for k in range(3)),
        tuple(joints(k) for k in range(3)),
        np.full((3, 7), np.nan),
        tuple(labelled),
        (None, None, None),
    )


OLD = potential(0, 0.0).model


def present(folder: Path, model: Answers) -> PresentModel:
    """Weights of ``model`` lie in ``folder/adapted``; elsewhere is another one."""
    (folder / "adapted").mkdir()
    (folder / "adapted" / "model.json").write_text("{}")

    def load(name: str, path: str) -> Answers:
        if not path:
            raise ModelError(expected="shipped weights", got="none", remedy="train")
        return model if path.endswith("adapted") else Answers(OLD)

    return PresentModel([folder], load)  # type: ignore[arg-type]


def test_episodes_of_the_present_model_stay_as_they_are(tmp_path: Path) -> None:
    knows = present(tmp_path, Answers(NEW))
    knows.heard = NEW
    episodes = [episode(NEW), episode(NEW)]
    assert knows.bring_up_to_date(episodes) == episodes


@pytest.mark.parametrize("stale", [OLD, None])
def test_stale_and_unlabelled_episodes_are_relabelled_as_a_whole(
    tmp_path: Path, stale: ModelId | None
) -> None:
    model = Answers(NEW)
    knows = present(tmp_path, model)
    knows.heard = NEW
    result = knows.bring_up_to_date([episode(stale), episode(NEW)])
    assert models_of(result[0]) == {NEW.sha256}
    assert [p.potential for p in result[0].potentials if p] == [0.5] * 3
    assert model.references[0].goals == (episode(NEW).pairs[-1],) * 2


@pytest.mark.parametrize("status", [Status.NO_TASK, Status.MODEL_ERROR])
def test_what_no_model_looked_at_is_relabelled(tmp_path: Path, status: Status) -> None:
    """The first demonstration is driven before there is a goal; its answers name the model that was loaded."""
    knows = present(tmp_path, Answers(NEW))
    knows.heard = NEW
    mute = episode(NEW)
    answers = [
        dataclasses.replace(p, reading=Reading(status), potential=float("nan"))
        for p in mute.potentials
        if p
    ]
    mute = dataclasses.replace(mute, potentials=tuple(answers))
    assert [p.potential for p in knows.bring_up_to_date([mute])[0].potentials if p] == [0.5] * 3


def test_before_any_model_is_heard_the_newest_episode_tells(tmp_path: Path) -> None:
    late = episode(NEW)
    late = dataclasses.replace(late, info=dataclasses.replace(late.info, start_ns=10**18))
    result = present(tmp_path, Answers(NEW)).bring_up_to_date([episode(OLD), late])
    assert [models_of(e) for e in result] == [{NEW.sha256}] * 2


def test_missing_weights_are_named(tmp_path: Path) -> None:
    knows = present(tmp_path, Answers(OLD))
    knows.heard = NEW
    with pytest.raises(LearnerError, match="weights of nano cdcdcdcdcdcd"):
        knows.bring_up_to_date([episode(OLD)])


def test_unlabelled_episodes_without_a_model_are_named(tmp_path: Path) -> None:
    with pytest.raises(LearnerError, match="labelled by a reward model"):
        present(tmp_path, Answers(NEW)).bring_up_to_date([episode(None)])


def test_a_goal_is_needed_to_relabel(tmp_path: Path) -> None:
    knows = present(tmp_path, Answers(NEW))
    knows.heard = NEW
    with pytest.raises(DemonstrationError, match="a demonstration, whose end shows the goal"):
        knows.bring_up_to_date([episode(OLD, EpisodeKind.ROLLOUT)])


def test_only_named_frames_are_unpacked_in_either_order() -> None:
    unpacked: list[bytes] = []

    def unpack(data: bytes):  # type: ignore[no-untyped-def]
        unpacked.append(data)
        return pair(int(data))

    store = FrameStore(unpack, capacity=3)
    for k in range(3):
        assert store.put(pair(k).stamp_ns, str(k).encode()) is None
    assert store.claim(decision(1)) == pair(1)
    assert store.claim(decision(5)) is None
    assert store.put(pair(5).stamp_ns, b"5") == pair(5)
    assert unpacked == [b"1", b"5"]


def test_old_frames_are_forgotten() -> None:
    store = FrameStore(lambda data: pair(int(data)), capacity=2)
    for k in range(4):
        store.put(pair(k).stamp_ns, str(k).encode())
    assert store.claim(decision(1)) is None
    assert store.claim(decision(3)) == pair(3)
