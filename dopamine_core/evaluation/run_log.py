"""Run log: plain records of a run in, JSON lines under ``<run>/log`` out, and back again for the report.

One file per kind of record (``progress.jsonl``, ``episode.jsonl`` ...). Every record carries ``t``: seconds of wall
time since the run began. Stamps of the stream stay what they were (``*_ns``). A reading that does not exist is
``null``, never 0.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from dopamine_core.errors import RecordingError

KINDS = (
    "part",  # what the run did when: name, start_s, end_s, ok, text
    "episode",
    "progress",
    "potential",
    "reward",
    "success",
    "command",
    "decision",
    "learner",
    "truth",
    "diagnostic",
    "note",  # results of actions: name and fields
)
RUN_FILE = "run.json"
LOG_FOLDER = "log"
Record = dict[str, Any]


class RunLog:
    """Append-only writer; safe to call from several threads.

    :param run_dir: folder of the run; made when missing.
    :param header: what is known at the start (seed, settings, versions); written to ``run.json``.
    :raises RecordingError: when the folder cannot be written.
    """

    def __init__(self, run_dir: Path, header: Mapping[str, Any]) -> None:
        self.run_dir = run_dir
        self._files: dict[str, TextIO] = {}
        self._lock = threading.Lock()
        self._header = dict(header)
        try:
            (run_dir / LOG_FOLDER).mkdir(parents=True, exist_ok=True)
            self._write_header()
        except OSError as error:
            raise RecordingError(
                expected=f"a writable run folder {run_dir}",
                got=str(error),
                remedy="choose another --run-dir",
            ) from error

    def write(self, kind: str, t: float, record: Mapping[str, Any]) -> None:
        """Append one record.

        :param kind: one of :data:`KINDS`.
        :param t: seconds since the run began.
        :param record: plain values; NaN and infinity become ``null``.
        """
        if kind not in KINDS:
            raise RecordingError(
                expected=f"a kind of record ({', '.join(KINDS)})",
                got=repr(kind),
                remedy="add it to KINDS",
            )
        line = json.dumps({"t": round(t, 4), **finite(dict(record))}, separators=(",", ":"))
        with self._lock:
            self._file(kind).write(line + "\n")

    def update_header(self, **values: Any) -> None:
        """Add to ``run.json``, e.g. the model hash once it is known."""
        with self._lock:
            self._header.update(values)
            self._write_header()

    def close(self) -> None:
        """Flush and close every file; writing again reopens them."""
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()

    def _file(self, kind: str) -> TextIO:
        if kind not in self._files:
            path = self.run_dir / LOG_FOLDER / f"{kind}.jsonl"
            # Line buffering: a killed run keeps every finished line.
            self._files[kind] = path.open("a", encoding="utf-8", buffering=1)
        return self._files[kind]

    def _write_header(self) -> None:
        text = json.dumps(finite(self._header), indent=1, sort_keys=True)
        (self.run_dir / RUN_FILE).write_text(text + "\n", encoding="utf-8")


@dataclass(frozen=True)
class RunRecords:
    """Everything a run folder holds, as read back."""

    run_dir: Path
    header: Record
    records: dict[str, list[Record]] = field(default_factory=dict)

    def of(self, kind: str) -> list[Record]:
        """Records of one kind in the order they were written."""
        return self.records.get(kind, [])


def read_run(run_dir: Path) -> RunRecords:
    """Read a run folder; a line cut off by a kill is left out.

    :raises RecordingError: when the folder is not a run.
    """
    path = run_dir / RUN_FILE
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordingError(
            expected=f"a run folder with {RUN_FILE} at {run_dir}",
            got=str(error),
            remedy="give a folder that `dopamine demo` wrote, e.g. the newest one in runs/",
        ) from error
    records = {kind: list(_lines(run_dir / LOG_FOLDER / f"{kind}.jsonl")) for kind in KINDS}
    return RunRecords(run_dir=run_dir, header=header, records=records)


def finite(value: Any) -> Any:
    """Replace NaN and infinities by ``None``, so that the result is standard JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def _lines(path: Path) -> Iterator[Record]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                return  # only the last line can be cut off
