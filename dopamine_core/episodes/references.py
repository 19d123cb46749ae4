"""Demonstrations come in, what a reward model is shown of their task goes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dopamine_core.episodes.catalogue import kept_demonstrations
from dopamine_core.episodes.data import EpisodeData
from dopamine_core.episodes.dataset import load_episode
from dopamine_core.errors import DemonstrationError
from dopamine_core.reward.session import References
from dopamine_core.types import EpisodeKind


def references_of(episodes: Sequence[EpisodeData], max_goals: int) -> References:
    """Start and goals as the demo node gives them to the reward node: of the first demonstrations, in order of time.

    :param max_goals: goal images at most, >= 1.
    :raises DemonstrationError: when there is no demonstration with frames.
    """
    ordered = sorted(episodes, key=lambda episode: episode.info.start_ns)
    seen = [
        [pair for pair in episode.pairs if pair is not None]
        for episode in ordered
        if episode.info.kind is EpisodeKind.DEMONSTRATION
    ]
    seen = [pairs for pairs in seen if pairs][:max_goals]
    if not seen:
        raise DemonstrationError(
            expected="a demonstration, whose end shows the goal",
            got="none with frames",
            remedy="record one, or add it to the bags",
        )
    return References(ordered[0].info.task, tuple(pairs[-1] for pairs in seen), seen[0][0])


def references_before(bag: Path, task: str, max_goals: int) -> References:
    """Start and goals as they were known when a recording was made: of the kept demonstrations beside it.

    They do not change when more demonstrations are recorded later.

    :param bag: recording; a demonstration counts itself.
    :raises DemonstrationError: when no demonstration of the task was kept before.
    :raises RecordingError: when a demonstration cannot be read.
    """
    kept = [entry.path for entry in kept_demonstrations(bag.parent, task)]
    before = [path for path in kept if path.name <= bag.name][:max_goals]
    if not before:
        raise DemonstrationError(
            expected=f"a kept demonstration of {task!r} before {bag.name}",
            got=f"none in {bag.parent}",
            remedy="keep the demonstrations beside the episodes",
        )
    return references_of([load_episode(path) for path in before], max_goals)
