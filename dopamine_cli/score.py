"""``dopamine score``: a recorded episode and a reward model in, progress per decision and its figures out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dopamine_cli.live_display import sparkline
from dopamine_cli.output import JsonOption, make_output, named_errors
from dopamine_core.errors import DemonstrationError

if TYPE_CHECKING:
    from dopamine_core.episodes.data import EpisodeData
    from dopamine_core.reward.session import References


@named_errors
def score(
    bag: Annotated[Path, typer.Argument(help="The recorded episode.")],
    model: Annotated[str, typer.Option(help="Registered reward model.")] = "nano",
    path: Annotated[
        str,
        typer.Option(
            help="Weights or adaptation folder, hub id, address, or a .yaml file of its settings; default: its own."
        ),
    ] = "",
    goal: Annotated[
        Path | None, typer.Option(help="Demonstration that shows start and goal.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score an episode; start and goal come from --goal, or from what its potentials were made with."""
    from dopamine_core.episodes.dataset import load_episode
    from dopamine_core.reward.registry import load_reward_model
    from dopamine_core.reward.relabel import relabel

    output = make_output(as_json)
    episode = load_episode(bag)
    reward_model = load_reward_model(model, path)
    scored = relabel(episode, reward_model, references_for(episode, goal))
    rows = rows_of(scored)
    if as_json:
        output.table(
            "decision", ("index", "time_s", "status", "progress", "hop", "reading", "success"), rows
        )
    figures = figures_of(scored, rows)
    curve = sparkline([row["progress"] for row in rows])
    text = "\n".join(
        [curve, *(f"{name.replace('_', ' ')}: {value}" for name, value in figures.items())]
    )
    output.event("score", text, bag=str(bag), **figures)


def references_for(episode: EpisodeData, goal: Path | None) -> References:
    """Choose start and goal images.

    :raises DemonstrationError: when there are none.
    """
    from dopamine_core.episodes.dataset import load_demonstration
    from dopamine_core.reward.session import References

    if goal is not None:
        demonstration = load_demonstration(goal)
        return References(demonstration.task, (demonstration.pairs[-1],), demonstration.pairs[0])
    if episode.references is None:
        raise DemonstrationError(
            expected="start and goal images",
            got="none in the recording",
            remedy="name a demonstration with --goal",
        )
    return episode.references


def rows_of(episode: EpisodeData) -> list[dict[str, Any]]:
    """One row per decision; a missing number is None."""
    start_ns = episode.decisions[0].stamp_ns if episode.decisions else 0
    rows = []
    for decision, potential in zip(episode.decisions, episode.potentials, strict=True):
        assert potential is not None  # relabelling answers every decision
        reading = potential.reading
        rows.append(
            {
                "index": decision.index,
                "time_s": round((decision.stamp_ns - start_ns) / 1e9, 3),
                "status": reading.status.name,
                "progress": reading.progress
                if reading.ok and math.isfinite(reading.progress)
                else None,
                "hop": list(reading.hop),
                "reading": list(reading.reading),
                "success": potential.success,
            }
        )
    return rows


def figures_of(episode: EpisodeData, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures that need no truth."""
    from dopamine_core.evaluation.metrics import voc

    known = [row["progress"] for row in rows if row["progress"] is not None]
    first = next((row["time_s"] for row in rows if row["success"]), None)
    return {
        "decisions": len(rows),
        "invalid": len(rows) - len(known),
        "final_progress": round(known[-1], 4) if known else None,
        "highest_progress": round(max(known), 4) if known else None,
        "voc_dense": round(voc(known), 4) if len(known) > 1 else None,
        "success_at_s": first,
        "outcome": episode.info.outcome.name.lower(),
    }
