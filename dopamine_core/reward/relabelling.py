"""A recording and a reward model come in, potentials of the whole episode go out; computed once, kept beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.episodes.dataset import load_episode
from dopamine_core.episodes.potential_set import PotentialSet, file_of, load_set, save_set
from dopamine_core.episodes.references import references_before
from dopamine_core.errors import ModelError, RecordingError
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.relabel import BATCH, relabel
from dopamine_core.reward.session import References, RewardModel
from dopamine_core.reward.success import SuccessConfig
from dopamine_core.types import Potential, Status


class Relabeller:
    """Answers whole recordings with one model; what it has answered once it reads from the disk.

    :param model: reward model, of the given fusion.
    :param success: rule for the potentials' success flag.
    :param max_goals: goal images that the model is shown, as the demo node's ``max_goals``.
    :param batch: decisions asked for in one go, where the model can.
    """

    def __init__(
        self,
        model: RewardModel,
        *,
        fusion: FusionConfig | None = None,
        success: SuccessConfig | None = None,
        max_goals: int = 3,
        batch: int = BATCH,
    ) -> None:
        self.model = model
        self._success = success or SuccessConfig()
        self._settings = asdict(fusion or FusionConfig()) | asdict(self._success)
        self._max_goals, self._batch = max_goals, batch

    def run(self, bag: Path, on_progress: Callable[[int, int], None]) -> tuple[PotentialSet, bool]:
        """Answer every decision of a recording.

        :param on_progress: told how many of how many decisions are answered; what it raises ends the run.
        :returns: the set, and whether it was computed now.
        :raises RecordingError: when the recording cannot be read or the set not be written.
        :raises DemonstrationError: when no demonstration shows the goal.
        :raises ModelError: when the model did not answer a decision; nothing is kept then.
        """
        episode = load_episode(bag, to_success=False)
        references = references_before(bag, episode.info.task, self._max_goals)
        sha256 = self._hash(references)
        kept = _kept(bag, sha256, episode)
        if kept is not None:
            return kept, False
        potentials = self._answer(episode, references, on_progress)
        if _broken(potentials) and self._batch > 1:
            self._batch = 1  # a batch may be too large where one alone is not
            potentials = self._answer(episode, references, on_progress)
        _require_answers(potentials)
        result = PotentialSet(episode.info, self.model.model_id, sha256, potentials)
        save_set(result, bag)
        return result, True

    def _answer(
        self, episode: EpisodeData, references: References, on_progress: Callable[[int, int], None]
    ) -> tuple[Potential, ...]:
        answered = relabel(
            episode,
            self.model,
            references,
            self._success,
            batch=self._batch,
            on_progress=lambda done: on_progress(done, len(episode)),
        )
        return tuple(item for item in answered.potentials if item is not None)

    def _hash(self, references: References) -> str:
        """Hash of all that decides the potentials."""
        pairs = [*references.goals, *([] if references.start is None else [references.start])]
        model = self.model
        known = asdict(model.model_id) | {
            "fast": model.fast,
            "success": [model.success_threshold, model.success_signal],
            "settings": self._settings,
            "task": references.task,
            "goals": len(references.goals),
            "images": [hashlib.sha256(p.front.data + b"|" + p.wrist.data).hexdigest() for p in pairs],
        }
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _kept(bag: Path, sha256: str, episode: EpisodeData) -> PotentialSet | None:
    """The set that lies beside the recording, if it is whole and of all its decisions."""
    try:
        found = load_set(file_of(bag, sha256), episode.info)
    except RecordingError:
        return None
    stamps = [item.decision_stamp_ns for item in found.potentials]
    return found if stamps == [decision.stamp_ns for decision in episode.decisions] else None


def _broken(potentials: tuple[Potential, ...]) -> list[str]:
    """Why the model did not answer, for each decision that it failed on."""
    readings = [item.reading for item in potentials]
    return [reading.text for reading in readings if reading.status is Status.MODEL_ERROR]


def _require_answers(potentials: tuple[Potential, ...]) -> None:
    """Refuse a set in which the model broke: with the same frames it would answer another time."""
    broken = _broken(potentials)
    if broken:
        raise ModelError(
            expected=f"an answer of the reward model to each of {len(potentials)} decisions",
            got=f"{len(broken)} failed, the first: {broken[0]}",
            remedy="look at the model; the episode is tried again",
        )
