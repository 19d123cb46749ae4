"""One adaptation in its own process: a job as JSON in the arguments; progress, result or a named
error as JSON lines out. Never imports ROS.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dopamine_core.episodes.dataset import load_demonstration
from dopamine_core.errors import DopamineError
from dopamine_core.reward.adaptable import AdaptJob, adapt_back_end


def main(arguments: list[str] | None = None) -> int:
    """Adapt and say what came of it.

    :param arguments: one JSON object, as ``Adapting`` writes it.
    :returns: exit code.
    """
    job = json.loads((arguments or sys.argv[1:])[0])
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: terminated.set())  # a cancel cleans up behind itself
    try:
        _say("result", adapt_job(job, terminated.is_set))
    except DopamineError as error:
        fields = {"expected": error.expected, "got": error.got, "remedy": error.remedy}
        _say("error", {"kind": type(error).__name__, **fields})
        return 1
    return 0


def adapt_job(job: dict[str, Any], should_cancel: Callable[[], bool]) -> dict[str, Any]:
    """Run one adaptation.

    :returns: fields of ``Adapt.Result`` that a model report fills.
    :raises DopamineError: whatever the demonstration or the adaptation named.
    """
    _say("progress", {"phase": "load", "fraction": 0.0})
    demonstration = load_demonstration(job["bag"])
    held_out = [load_demonstration(path) for path in job["held_out"]]
    _say("progress", {"phase": "start", "fraction": 0.0})
    out = Path(job["out"])
    figures = adapt_back_end(  # torch takes seconds to import; a bad bag does not
        AdaptJob(
            out_dir=out,
            back_end=job["back_end"],
            base=job["base"],
            settings=job["settings"],
            time_budget_s=job["time_budget_s"],
            seed=job["seed"],
        ),
        demonstration,
        held_out,
        on_progress=lambda **progress: _say("progress", progress),
        should_cancel=should_cancel,
    )
    return {
        "model_path": str(out),
        "report_path": str(figures.report_path),
        "rmse_before": figures.rmse_before,
        "rmse_after": figures.rmse_after,
        "success_threshold": figures.success_threshold,
        "message": f"judged on {figures.judged_on}; {figures.steps} steps in {figures.seconds:.0f} s",
    }


def _say(kind: str, content: dict[str, Any]) -> None:
    print(json.dumps({kind: content}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
