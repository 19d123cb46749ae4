"""Serialised messages come in from callbacks, a bag grows on the disk in a thread of its own.

A callback never waits for the disk. Every ``flush_s`` the present chunk is handed to the kernel, so
a kill -9 of the process costs at most that much; every ``sync_s`` and at the end the file is
synced, so a power cut costs at most that much.
"""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dopamine_core.config import check, setting
from dopamine_core.episodes.bag import BagMessage, BagWriter, writing
from dopamine_core.errors import RecordingError

_QUEUED_MESSAGES = 5000
_JOIN_S = 60.0


@dataclass(frozen=True)
class RecorderConfig:
    """How recordings are written."""

    flush_s: float = setting(
        0.4,
        doc="Period after which what came in is handed to the kernel; a kill -9 costs this much.",
        unit="s",
        low=0.01,
        high=0.9,
    )
    sync_s: float = setting(
        5.0,
        doc="Period after which the disk is asked to have it; a power cut costs this much.",
        unit="s",
        low=0.1,
        high=600.0,
    )
    min_free_bytes: int = setting(
        200_000_000, doc="No recording begins with less free space.", unit="B", low=0
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class _Metadata:
    name: str
    values: Mapping[str, str]


class EpisodeRecorder:
    """One recording; writes in its own thread.

    :param path: final name, ``*.mcap``.
    :raises RecordingError: when the file cannot be opened or the disk is nearly full.
    """

    def __init__(self, path: Path, config: RecorderConfig | None = None) -> None:
        self._config = config or RecorderConfig()
        _require_space(path, self._config.min_free_bytes)
        self._writer = BagWriter(path)
        self._queue: queue.Queue[BagMessage | _Metadata | None] = queue.Queue(_QUEUED_MESSAGES)
        self._error: RecordingError | None = None
        self._bytes = 0
        self._thread = threading.Thread(target=self._run, name=f"record {path.name}", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """Final name of the file."""
        return self._writer.path

    @property
    def error(self) -> RecordingError | None:
        """What went wrong; from then on nothing more is written."""
        return self._error

    @property
    def bytes_written(self) -> int:
        """Bytes handed to the kernel so far."""
        return self._bytes

    def write(self, message: BagMessage) -> None:
        """Queue a message; never waits. Errors show in :attr:`error`."""
        self._put(message)

    def add_metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Queue a metadata record."""
        self._put(_Metadata(name, values))

    def finish(self) -> Path:
        """Write what is queued, the index and the end, and give the file its real name.

        :raises RecordingError: when anything could not be written; the partial file stays for
            recovery at the next start.
        """
        self._stop()
        if self._error is not None:
            self._writer.abandon()
            raise self._error
        try:
            return self._writer.finish()
        except RecordingError as error:
            self._error = error
            self._writer.abandon()
            raise

    def abandon(self) -> None:
        """Stop without finishing; the partial file stays for recovery."""
        self._stop()
        self._writer.abandon()

    def _stop(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None, timeout=_JOIN_S)
            self._thread.join(_JOIN_S)

    def _put(self, item: BagMessage | _Metadata) -> None:
        if self._error is not None:
            return
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self._error = RecordingError(
                expected="a disk that keeps up",
                got=f"{_QUEUED_MESSAGES} messages waiting to be written",
                remedy="record to a faster disk (run_dir)",
            )

    def _run(self) -> None:
        """Write until told to stop; after an error only empty the queue."""
        flushed_s = synced_s = time.monotonic()
        while True:
            wait_s = max(flushed_s + self._config.flush_s - time.monotonic(), 0.0)
            going_on = self._write_next(wait_s)
            now_s = time.monotonic()
            if now_s - flushed_s >= self._config.flush_s or not going_on:
                self._flush(sync=now_s - synced_s >= self._config.sync_s)
                synced_s = now_s if now_s - synced_s >= self._config.sync_s else synced_s
                flushed_s = now_s
            if not going_on:
                return

    def _write_next(self, wait_s: float) -> bool:
        """Write one item, if one comes in time; False when told to stop."""
        try:
            item = self._queue.get(timeout=wait_s) if wait_s > 0.0 else self._queue.get_nowait()
        except queue.Empty:
            return True
        if item is None:
            return False
        if self._error is None:
            try:
                self._write(item)
            except RecordingError as error:
                self._error = error
            except Exception as error:  # else the thread would die and the rest be lost unsaid
                self._error = _unwritable(self.path, error)
        return True

    def _write(self, item: BagMessage | _Metadata) -> None:
        if isinstance(item, BagMessage):
            self._writer.write(item)
        else:
            self._writer.add_metadata(item.name, item.values)

    def _flush(self, *, sync: bool) -> None:
        if self._error is not None:
            return
        try:
            self._writer.flush()
            if sync:
                self._writer.sync()
            self._bytes = self._writer.bytes_written
        except RecordingError as error:
            self._error = error


def _unwritable(path: Path, error: Exception) -> RecordingError:
    return RecordingError(
        expected=f"a message that can be written to {path}",
        got=f"{type(error).__name__}: {error}",
        remedy="what came before it is recovered at the next start; report the message's sender",
    )


def _require_space(path: Path, needed: int) -> None:
    """Refuse to begin on a disk that is nearly full.

    :raises RecordingError: when it is, or when the folder cannot be made.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise RecordingError(
            expected=f"at least {needed / 1e6:.0f} MB free for {path}",
            got=f"{free / 1e6:.0f} MB",
            remedy="free space or set another run_dir",
        )
