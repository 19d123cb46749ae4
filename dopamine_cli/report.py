"""``dopamine report``: rebuilds the report of a run from its records and bags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dopamine_cli.output import JsonOption, make_output, named_errors


@named_errors
def report(
    run_dir: Annotated[Path, typer.Argument(help="Folder that `dopamine demo` wrote.")],
    as_json: JsonOption = False,
) -> None:
    """Write report.html and summary.json anew."""
    from dopamine_core.episodes.dataset import load_episode
    from dopamine_core.evaluation.report import SUMMARY_FILE, write_report
    from dopamine_core.evaluation.report_words import lead

    path = write_report(run_dir, load_episode)
    summary = json.loads((run_dir / SUMMARY_FILE).read_text(encoding="utf-8"))
    make_output(as_json).event("report", f"{lead(summary)}\n{path}", report=str(path))
