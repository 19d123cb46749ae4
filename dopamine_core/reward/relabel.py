"""A recorded episode and a reward model come in, the episode with new potentials goes out."""

from __future__ import annotations

import dataclasses

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.reward.labelling import EpisodeLabeller
from dopamine_core.reward.session import References, RewardModel
from dopamine_core.reward.success import SuccessConfig, SuccessRule
from dopamine_core.types import Status


def relabel(
    episode: EpisodeData,
    model: RewardModel,
    references: References,
    success: SuccessConfig | None = None,
) -> EpisodeData:
    """Answer every decision of a whole episode anew, so that no transition mixes two models.

    The episode's outcome stays as its authority recorded it.

    :param episode: recorded episode; a pair is None where its frames are lost.
    :param references: what the model is shown of the task.
    :param success: rule for the potentials' success flag.
    :raises ModelError: when the references cannot be used.
    """
    rule = success or SuccessConfig()
    threshold = rule.threshold or model.success_threshold
    labeller = EpisodeLabeller(
        model, references, SuccessRule(threshold, rule.consecutive, model.success_signal)
    )
    lost = "expected the decision's frames, got none; they are not in the recording"
    potentials = tuple(
        labeller.decline(decision, Status.MISSING_FRAME, lost)
        if pair is None
        else labeller.label(decision, pair)
        for decision, pair in zip(episode.decisions, episode.pairs, strict=True)
    )
    return dataclasses.replace(episode, potentials=potentials, references=references)
