"""``dopamine check``: recorded episodes in, whether each is whole out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from dopamine_cli.output import EXIT_ERROR, JsonOption, make_output, named_errors
from dopamine_core.errors import DopamineError, RecordingError

if TYPE_CHECKING:
    from dopamine_core.episodes.data import EpisodeData

COLUMNS = (
    "bag",
    "kind",
    "outcome",
    "decisions",
    "frames_lost",
    "potentials_lost",
    "actions_unknown",
    "verdict",
)


@named_errors
def check(
    paths: Annotated[list[Path], typer.Argument(help="Bags, or folders that hold bags.")],
    as_json: JsonOption = False,
) -> None:
    """Check that recordings can be read and learned from; exit code 2 when one cannot be read."""
    output = make_output(as_json)
    rows = [check_bag(bag) for bag in find_bags(paths)]
    output.table("recordings", COLUMNS, rows)
    if any(not row.get("decisions") for row in rows):
        raise typer.Exit(EXIT_ERROR)


def find_bags(paths: list[Path]) -> list[Path]:
    """Bags below the given paths, in order of name.

    :raises RecordingError: when there are none.
    """
    bags = sorted(
        {bag for path in paths for bag in ([path] if path.is_file() else path.rglob("*.mcap"))}
    )
    if not bags:
        raise RecordingError(
            expected="MCAP recordings",
            got=f"none in {', '.join(map(str, paths))}",
            remedy="name a bag or a run folder",
        )
    return bags


def check_bag(bag: Path) -> dict[str, Any]:
    """Read one bag and count what is missing."""
    from dopamine_core.episodes.dataset import load_episode

    try:
        return {"bag": bag.name, **whole(load_episode(bag))}
    except DopamineError as error:
        return {"bag": bag.name, "verdict": str(error)}


def whole(episode: EpisodeData) -> dict[str, Any]:
    """Count lost frames, potentials and actions; the last decision has no action by definition."""
    count = len(episode)
    frames = sum(pair is None for pair in episode.pairs)
    potentials = sum(
        potential is None or not potential.reading.ok for potential in episode.potentials
    )
    actions = int(np.isnan(episode.actions[: max(count - 1, 0)]).any(axis=1).sum())
    lost = [name for name, number in (("frames", frames), ("actions", actions)) if number]
    return {
        "kind": episode.info.kind.name.lower(),
        "outcome": episode.info.outcome.name.lower(),
        "decisions": count,
        "frames_lost": frames,
        "potentials_lost": potentials,
        "actions_unknown": actions,
        "verdict": f"incomplete: {', '.join(lost)}" if lost else "whole" if count else "empty",
    }
