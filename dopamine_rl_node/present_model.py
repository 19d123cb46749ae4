"""Recorded episodes come in, episodes whose potentials are all the present reward model's come out.

Whole episodes are relabelled, never half of one, so that no transition mixes two models.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.episodes.references import references_of
from dopamine_core.errors import DopamineError, LearnerError
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.relabel import relabel
from dopamine_core.reward.session import RewardModel
from dopamine_core.types import ModelId, Potential, Status

# The task was not set yet, or the model broke: with the same frames it would answer now.
_UNASKED = (Status.NO_TASK, Status.MODEL_ERROR)


class PresentModel:
    """Knows which reward model speaks now, and finds its weights when old episodes must be relabelled.

    :param folders: where adapted models may lie (searched for ``model.json``).
    :param load: loads a model by registry name and path.
    :param max_goals: goal images that the model is shown, as the demo node's ``max_goals``.
    """

    def __init__(
        self,
        folders: list[Path],
        load: Callable[[str, str], RewardModel] = load_reward_model,
        *,
        max_goals: int = 3,
    ) -> None:
        self._folders, self._load, self._max_goals = folders, load, max_goals
        self.heard: ModelId | None = None  # newest one on the topics

    def bring_up_to_date(self, episodes: list[EpisodeData]) -> list[EpisodeData]:
        """Relabel the episodes whose potentials another model made.

        The present model is the one heard on the topics; before any was heard, that of the newest episode.

        :raises LearnerError: when its weights cannot be found.
        """
        wanted = self.heard or _newest(episodes)
        stale = [k for k, episode in enumerate(episodes) if models_of(episode) - _only(wanted)]
        if not stale:
            return episodes
        if wanted is None:
            raise LearnerError(
                expected="episodes labelled by a reward model",
                got="no potential in any of them",
                remedy="start the reward node, or relabel the episodes first",
            )
        model = self._find(wanted)
        references = references_of(episodes, self._max_goals)
        result = list(episodes)
        for k in stale:
            result[k] = relabel(episodes[k], model, references)
        return result

    def _find(self, wanted: ModelId) -> RewardModel:
        for folder in [None, *self._candidates()]:
            try:
                model = self._load(wanted.name, str(folder or ""))
            except DopamineError:
                continue
            if model.model_id.sha256 == wanted.sha256:
                return model
        raise LearnerError(
            expected=f"weights of {wanted.name} {wanted.sha256[:12]}",
            got=f"none of that hash under {', '.join(map(str, self._folders))}",
            remedy="keep adapted models in the run folder, or record the demonstrations again",
        )

    def _candidates(self) -> list[Path]:
        found = [path.parent for root in self._folders for path in root.glob("**/model.json")]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def models_of(episode: EpisodeData) -> set[str]:
    """Hashes of the models that labelled an episode; the empty one when no model has looked at a decision."""
    return {p.model.sha256 if _looked_at(p) else "" for p in episode.potentials}


def _only(model: ModelId | None) -> set[str]:
    return set() if model is None else {model.sha256}


def _looked_at(potential: Potential | None) -> bool:
    """Whether a model answered, be it that it could not read the frames."""
    return potential is not None and potential.reading.status not in _UNASKED


def _newest(episodes: list[EpisodeData]) -> ModelId | None:
    ordered = sorted(episodes, key=lambda episode: episode.info.start_ns)
    labelled = [p.model for episode in ordered for p in episode.potentials if p is not None]
    return labelled[-1] if labelled else None


__all__ = ["PresentModel", "models_of", "references_of"]
