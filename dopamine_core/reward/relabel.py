"""A recorded episode and a reward model come in, the episode with new potentials goes out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from dopamine_core.episodes.data import EpisodeData
from dopamine_core.reward.labelling import EpisodeLabeller
from dopamine_core.reward.session import References, RewardModel
from dopamine_core.reward.success import SuccessConfig, SuccessRule
from dopamine_core.types import Decision, FramePair, Potential, Status

_Decisions = tuple[Decision, ...]
_Pairs = tuple[FramePair | None, ...]


_LOST = "expected the decision's frames, got none; they are not in the recording"
BATCH = 8  # decisions that a model which can is asked for in one go


def relabel(
    episode: EpisodeData,
    model: RewardModel,
    references: References,
    success: SuccessConfig | None = None,
    *,
    batch: int = BATCH,
    on_progress: Callable[[int], None] = lambda done: None,
) -> EpisodeData:
    """Answer every decision of a whole episode anew, so that no transition mixes two models.

    The episode's outcome stays as its authority recorded it.

    :param episode: recorded episode; a pair is None where its frames are lost.
    :param references: what the model is shown of the task.
    :param success: rule for the potentials' success flag.
    :param batch: decisions asked for in one go, where the model can; >= 1.
    :param on_progress: told how many decisions are answered; what it raises ends the relabelling.
    :raises ModelError: when the references cannot be used.
    """
    rule = success or SuccessConfig()
    threshold = rule.threshold or model.success_threshold
    labeller = EpisodeLabeller(
        model, references, SuccessRule(threshold, rule.consecutive, model.success_signal)
    )
    potentials: list[Potential] = []
    for decisions, pairs in _chunks(episode, batch if labeller.batched else 1):
        potentials += _answers(labeller, decisions, pairs)
        on_progress(len(potentials))
    return dataclasses.replace(episode, potentials=tuple(potentials), references=references)


def _chunks(episode: EpisodeData, batch: int) -> Iterator[tuple[_Decisions, _Pairs]]:
    for start in range(0, len(episode), batch):
        rows = slice(start, start + batch)
        yield episode.decisions[rows], episode.pairs[rows]


def _answers(labeller: EpisodeLabeller, decisions: _Decisions, pairs: _Pairs) -> list[Potential]:
    """Answers in order; a chunk of which frames are lost is answered one by one."""
    found = [pair for pair in pairs if pair is not None]
    if len(found) == len(pairs):
        return labeller.label_all(decisions, found)
    return [
        labeller.decline(decision, Status.MISSING_FRAME, _LOST)
        if pair is None
        else labeller.label(decision, pair)
        for decision, pair in zip(decisions, pairs, strict=True)
    ]
