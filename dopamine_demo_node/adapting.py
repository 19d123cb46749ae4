"""A demonstration's bag comes in, an adapted reward model goes out; the work runs in its own process.

The process has a lower priority and its own interpreter, so that neither the episodes nor the
recording wait for it; a cancel ends it at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from dopamine_core.episodes.catalogue import kept_demonstrations
from dopamine_core.errors import ModelError
from dopamine_core.reward.adaptation_folder import leave_nothing
from dopamine_demo_node.settings import AdaptSettings
from dopamine_demo_node.waiting import Cancelled, Waiting

_KILL_S = 3.0
_BEFORE = ("load", "start")  # phases in which its time does not count yet
_IMPORT_S = 120.0  # torch alone may take long on a busy machine
_MAX_HELD_OUT = 3
_MODULE = "dopamine_demo_node.adapt_process"
Feedback = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class AdaptRequest:
    """What is asked for."""

    bag_path: str
    held_out_bag_paths: tuple[str, ...] = ()
    time_budget_s: float = 0.0  # 0: the configured one
    seed: int = 0


@dataclass
class _Heard:
    """What the process said."""

    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    noise: list[str] = field(default_factory=list)
    begun: bool = False  # its imports are done


class Adapting:
    """Runs one adaptation at a time.

    :param folder: each adapted model gets a folder in here.
    :param episodes: where recordings lie; siblings in here judge a model when none are named.
    """

    def __init__(self, settings: AdaptSettings, folder: Path, episodes: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._episodes = episodes

    def run(self, request: AdaptRequest, waiting: Waiting, feedback: Feedback) -> dict[str, Any]:
        """Adapt in a process of its own and wait for it.

        :param feedback: called from another thread with ``phase``, ``fraction``, ``loss`` and
            ``held_out_error`` as far as known.
        :returns: what the process reported: ``model_path``, ``report_path``, ``rmse_before`` ...
        :raises DemonstrationError: named by the process when the demonstration is unusable.
        :raises ModelError: when it failed or took too long.
        :raises Cancelled: when it was taken back.
        """
        budget_s = request.time_budget_s or self._settings.time_budget_s
        job = self._job(request, budget_s)
        heard = _Heard()
        process = self._start(job)
        listeners = [
            threading.Thread(target=_listen, args=(process.stdout, heard, feedback), daemon=True),
            threading.Thread(target=_drain, args=(process.stderr, heard), daemon=True),
        ]
        for thread in listeners:
            thread.start()
        try:
            waiting.until(lambda: heard.begun or process.poll() is not None, _IMPORT_S)
            limit_s = budget_s + self._settings.grace_s
            ended = waiting.until(lambda: process.poll() is not None, limit_s)
        except Cancelled:
            _end(process)
            leave_nothing(Path(job["out"]))
            raise
        if not ended:
            _end(process)
            raise _failed(f"no end within {limit_s:g} s", "raise its time budget")
        for thread in listeners:
            thread.join(timeout=_KILL_S)
        return _result(heard, process.returncode)

    def _job(self, request: AdaptRequest, budget_s: float) -> dict[str, Any]:
        number = 1 + sum(1 for _ in self._folder.glob("adapted_*"))
        return {
            "bag": request.bag_path,
            "held_out": list(request.held_out_bag_paths) or self._siblings(request.bag_path),
            "back_end": self._settings.model_name,
            "base": self._settings.base_path,
            "settings": self._settings.settings_path,
            "out": str(self._folder / f"adapted_{number:03d}"),
            "time_budget_s": budget_s,
            "seed": request.seed,
        }

    def _siblings(self, bag_path: str) -> list[str]:
        """Kept demonstrations of the same task, the newest first, without the one learned from."""
        kept = kept_demonstrations(self._episodes)
        own = Path(bag_path).resolve()
        tasks = {entry.task for entry in kept if entry.path.resolve() == own}
        others = [e.path for e in kept if e.task in tasks and e.path.resolve() != own]
        return [str(path) for path in others[::-1][:_MAX_HELD_OUT]]

    def _start(self, job: dict[str, Any]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, json.dumps(job)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.setpriority(os.PRIO_PROCESS, process.pid, self._settings.niceness)
        return process


def _listen(lines: IO[str] | None, heard: _Heard, feedback: Feedback) -> None:
    """Read one JSON object per line; anything else is noise of a library."""
    for line in lines or ():
        try:
            message = json.loads(line)
        except json.JSONDecodeError:
            heard.noise.append(line.rstrip())
            continue
        if "result" in message:
            heard.result = message["result"]
        elif "error" in message:
            heard.error = message["error"]
        elif "progress" in message:
            heard.begun |= message["progress"].get("phase") not in _BEFORE
            feedback(message["progress"])


def _drain(lines: IO[str] | None, heard: _Heard) -> None:
    for line in lines or ():
        heard.noise.append(line.rstrip())


def _result(heard: _Heard, returncode: int) -> dict[str, Any]:
    if heard.error is not None:
        raise AdaptError(heard.error)
    if heard.result is None:
        last = heard.noise[-1] if heard.noise else f"exit code {returncode}"
        raise _failed(last, "see the node's log")
    return heard.result


class AdaptError(ModelError):
    """The process named an error; ``kind`` is its class there."""

    def __init__(self, error: dict[str, Any]) -> None:
        self.kind = str(error.get("kind", ""))
        super().__init__(
            expected=str(error.get("expected", "an adapted model")),
            got=str(error.get("got", "an error")),
            remedy=str(error.get("remedy", "see the node's log")),
        )


def _end(process: subprocess.Popen[str]) -> None:
    """End the process; what it has saved on its way stays for the next run."""
    process.terminate()
    try:
        process.wait(timeout=_KILL_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=_KILL_S)


def _failed(got: str, remedy: str) -> ModelError:
    return ModelError(expected="an adapted reward model", got=got, remedy=remedy)
