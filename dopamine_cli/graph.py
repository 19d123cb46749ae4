"""A list of nodes in, a running ROS graph out that leaves nothing behind.

Each node is a process group of its own with a log file, on a private ROS domain, with the shared-memory DDS
profile. Whatever ends the run - success, an exception, Ctrl-C, SIGTERM, SIGHUP, even ``kill -9`` - ends them all.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from dopamine_cli import reaper, shared_memory
from dopamine_cli.domain import DomainLock, take_domain
from dopamine_cli.environment import default_profile, ros_environment
from dopamine_core.errors import GraphError

_POLL_S = 0.05
_READY = re.compile(rb"\bready\b")
_OWN_KEYS = ("ROS_DOMAIN_ID", "RMW_IMPLEMENTATION", "ROS_AUTOMATIC_DISCOVERY_RANGE", "FASTRTPS_DEFAULT_PROFILES_FILE")
_REAPER = Path(reaper.__file__)
_TAIL_LINES = 15


class NodeDiedError(GraphError):
    """A node's process ended while the graph was running."""

    def __init__(self, name: str, code: int, log: Path) -> None:
        self.name, self.code, self.log = name, code, log
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        super().__init__(
            expected=f"node '{name}' to run until the graph stops",
            got=f"{how}, last words:\n{tail(log)}\n",
            remedy=f"see {log}",
        )


@dataclass(frozen=True)
class NodeProcess:
    """One node of the graph: a process that leads its own group."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int  # byte at which this start's words begin

    @property
    def pid(self) -> int:
        """Process id, which is the group's id as well."""
        return self.process.pid

    def words(self) -> bytes:
        """Return what this start has logged so far."""
        with self.log.open("rb") as file:
            file.seek(self.log_start)
            return file.read()


class Graph:
    """Processes of one run; use it as a context manager.

    While it is open this process's own ROS variables point at the graph too, so that an rclpy node made here joins it.
    Nodes must be started from a thread that lives as long as the graph: the kernel ties their life to it.

    :param run_dir: folder of the run; logs go to ``run_dir/logs``.
    :param domain_id: ROS domain; None takes a free one that no parallel run takes.
    :param env: extra environment of every node.
    :param grace_s: how long nodes may take to end by themselves before they are killed.
    """

    def __init__(
        self,
        run_dir: Path,
        domain_id: int | None = None,
        env: Mapping[str, str] | None = None,
        *,
        grace_s: float = 10.0,
    ) -> None:
        self.run_dir = Path(run_dir).resolve()
        self.logs = self.run_dir / "logs"
        self._wanted_domain, self._extra, self._grace_s = domain_id, dict(env or {}), grace_s
        self._nodes: dict[str, NodeProcess] = {}
        self._lock: DomainLock | None = None
        self._reaper: subprocess.Popen[bytes] | None = None
        self._own_before: dict[str, str | None] = {}
        self._handlers: dict[int, object] = {}
        self._files: set[str] = set()
        self.env: dict[str, str] = {}

    @property
    def domain_id(self) -> int:
        """ROS domain of the graph."""
        if self._lock is None:
            raise GraphError(expected="an open graph", got="a closed one", remedy="use it in a `with` block")
        return self._lock.domain_id

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the nodes that were started and not stopped."""
        return tuple(self._nodes)

    def __enter__(self) -> Graph:
        """Take a domain, choose the DDS profile, start the reaper.

        :raises GraphError: when no domain is free or /dev/shm is too small for camera images.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        self._lock = take_domain(self._wanted_domain)
        try:
            profile = self._choose_profile()
            self.env = ros_environment(domain_id=self.domain_id, profile=profile) | {
                "ROS_LOG_DIR": str(self.logs / "ros"),
                "PYTHONFAULTHANDLER": "1",
                **self._extra,
            }
            self._start_reaper()
        except BaseException:
            self._lock.release()
            raise
        self._join()
        self._catch_signals()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything."""
        self.close()

    def start(self, name: str, module: str, args: Sequence[str] = (), nice: int = 0) -> NodeProcess:
        """Start ``python -m module args`` as a process group of its own.

        :param name: what the node is called in errors and whose log is ``logs/<name>.log``.
        :param nice: lowered priority, 0..19.
        :raises GraphError: when a node of that name runs.
        """
        if name in self._nodes and self._nodes[name].process.poll() is None:
            raise GraphError(expected=f"'{name}' not to run yet", got="a running one", remedy="stop it first")
        command = [sys.executable, "-m", "dopamine_cli.child", str(os.getpid()), str(nice), module, *args]
        path = self.logs / f"{name}.log"
        with path.open("ab") as log:
            start = log.tell()
            process = subprocess.Popen(
                command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        node = NodeProcess(name, process, path, start)
        self._nodes[name] = node
        self._tell_reaper(str(process.pid))
        return node

    def check(self) -> None:
        """Look whether every node still runs.

        :raises NodeDiedError: for the first one that does not, with the last lines of its log.
        """
        for node in self._nodes.values():
            code = node.process.poll()
            if code is not None:
                raise NodeDiedError(node.name, code, node.log)

    def wait_ready(self, names: Sequence[str] | None = None, timeout_s: float = 60.0) -> None:
        """Wait until nodes have logged their line "ready".

        :param names: which ones; None waits for all.
        :raises NodeDiedError: when one ends meanwhile.
        :raises GraphError: when one is not ready in time.
        """
        until = time.monotonic() + timeout_s
        waiting = list(self._nodes if names is None else names)
        while waiting := [name for name in waiting if not _READY.search(self._nodes[name].words())]:
            self.check()
            if time.monotonic() > until:
                log = self._nodes[waiting[0]].log
                raise GraphError(
                    expected=f"{', '.join(waiting)} to be ready within {timeout_s:g} s",
                    got=f"no line 'ready', last words of '{waiting[0]}':\n{tail(log)}\n",
                    remedy=f"see {log}",
                )
            time.sleep(_POLL_S)

    def stop(self, name: str) -> None:
        """Stop one node: interrupt, then terminate, then kill its group."""
        node = self._nodes.pop(name)
        self._end([node])

    def kill(self, name: str) -> None:
        """Kill one node without a warning, as a fault; :meth:`check` will report it."""
        node = self._nodes[name]
        self._remember_files()
        os.killpg(node.pid, signal.SIGKILL)
        node.process.wait()

    def close(self) -> None:
        """Stop every node, the last started first to be told; a second Ctrl-C cannot cut this short."""
        if self._lock is None:
            return
        self._ignore_signals()
        try:
            self._end(list(reversed(self._nodes.values())))
            self._nodes.clear()
            self._tell_reaper("done")
            self._close_reaper()
        finally:
            self._leave()
            self._lock.release()
            self._lock = None
            self._restore_signals()

    def _choose_profile(self) -> Path:
        shipped, free = default_profile(), shared_memory.free_bytes()
        profile = shared_memory.choose_profile(shipped, self.run_dir, free=free)
        if profile is None:
            raise GraphError(
                expected=f"{shared_memory.needed_bytes(4) >> 20} MiB free in /dev/shm for camera images",
                got=f"{free >> 20} MiB",
                remedy="enlarge it (container: --shm-size=1g) or remove what lies there (`dopamine doctor`)",
            )
        if not profile.shipped:
            text = f"/dev/shm has only {free >> 20} MiB free: DDS segments of {profile.segment_mib} MiB"
            print(f"{text} instead of {shared_memory.segment_mib(shipped)} ({profile.path})", file=sys.stderr)
        return profile.path

    def _start_reaper(self) -> None:
        assert self._lock is not None
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_REAPER), str(self._grace_s)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=(self._lock.fd,),  # the domain stays taken until the last node is gone
            env=self.env,
        )

    def _tell_reaper(self, line: str) -> None:
        assert self._reaper is not None and self._reaper.stdin is not None
        try:
            self._reaper.stdin.write(f"{line}\n".encode())
            self._reaper.stdin.flush()
        except BrokenPipeError:
            pass  # somebody killed it; close() still ends every node

    def _close_reaper(self) -> None:
        assert self._reaper is not None and self._reaper.stdin is not None
        try:
            self._reaper.stdin.close()
        except BrokenPipeError:
            pass
        self._reaper.wait()

    def _end(self, nodes: Sequence[NodeProcess]) -> None:
        self._remember_files()
        self._files |= reaper.end_groups([node.pid for node in nodes], grace_s=self._grace_s)
        for node in nodes:
            node.process.wait()
        shared_memory.remove(shared_memory.abandoned(self._files))

    def _remember_files(self) -> None:
        for node in self._nodes.values():
            self._files |= shared_memory.mapped_by(node.pid)

    def _join(self) -> None:
        self._own_before = {key: os.environ.get(key) for key in _OWN_KEYS}
        os.environ.update({key: self.env[key] for key in _OWN_KEYS})

    def _leave(self) -> None:
        for key, value in self._own_before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value

    def _catch_signals(self) -> None:
        """Turn SIGTERM and SIGHUP into an exception unless somebody handles them already."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                self._handlers[number] = signal.signal(number, _exit_on)

    def _ignore_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.signal(number, signal.SIG_IGN)
            self._handlers.setdefault(number, before)

    def _restore_signals(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._handlers.clear()


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """Return the last lines of a log, or say that it is empty."""
    text = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(text[-lines:]) or "(the log is empty)"


def _exit_on(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
