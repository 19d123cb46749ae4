"""Jobs of several requests come in, one thread that owns the model answers them in order of arrival."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition, Thread

from dopamine_core.errors import ModelError
from dopamine_core.reward.serving.evaluation import Evaluator, Job
from dopamine_core.reward.wire.values import Reply

MOST_TOGETHER = 16  # requests whose clips a clip model is given at a time


class StoppingError(ModelError):
    """The server stops before a request is answered."""

    def __init__(self) -> None:
        super().__init__(
            expected="a server that runs", got="one that stops", remedy="ask again when it is back"
        )


@dataclass(frozen=True)
class Answered:
    """A reply, and how long it took."""

    reply: Reply
    waited_s: float  # before the model began
    computed_s: float  # by the model; of all requests answered together


@dataclass(frozen=True, eq=False)
class _Entry:
    job: Job
    future: Future[Answered] = field(default_factory=Future)
    came_s: float = field(default_factory=time.monotonic)


class Worker:
    """The one thread that calls the model. A model that raises fails its own request alone.

    :param evaluator: answers jobs.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._waiting: deque[_Entry] = deque()
        self._running: list[_Entry] = []
        self._changed = Condition()
        self._stopped = False
        self._busy_since_s: float | None = None
        self._thread = Thread(target=self._run, name="reward-model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests that the model has not begun."""
        return len(self._waiting)

    @property
    def busy_s(self) -> float:
        """How long the model has been at the present requests; 0 when it rests."""
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def submit(self, job: Job) -> Future[Answered]:
        """Queue a job; the future carries what the model raised, if it did."""
        entry = _Entry(job)
        with self._changed:
            if self._stopped:
                entry.future.set_exception(StoppingError())
            else:
                self._waiting.append(entry)
                self._changed.notify()
        return entry.future

    def stop(self, timeout_s: float) -> bool:
        """Take nothing more; what is not answered when the time is over fails.

        :returns: whether the thread has ended; a model that hangs keeps it until the process ends.
        """
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join(timeout_s)
        with self._changed:
            left = [*self._waiting, *self._running]
            self._waiting.clear()
        _fail(left, StoppingError())
        return not self._thread.is_alive()

    def _run(self) -> None:
        while entries := self._take():
            self._busy_since_s = time.monotonic()
            self._answer(entries)
            self._busy_since_s = None
            self._running = []

    def _take(self) -> list[_Entry]:
        """Wait for requests; none once the worker is stopped and nothing is left."""
        most = MOST_TOGETHER if self._evaluator.batches else 1
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopped)
            count = min(most, len(self._waiting))
            self._running = [self._waiting.popleft() for _ in range(count)]
            return self._running

    def _answer(self, entries: Sequence[_Entry]) -> None:
        wanted = [entry for entry in entries if not entry.job.abandoned.is_set()]
        try:
            self._evaluate(wanted)
        except Exception as error:  # a back end may raise anything; the server must live
            if len(wanted) == 1:
                _fail(wanted, error)
                return
            for entry in wanted:  # one of them is at fault: the others are answered alone
                self._answer([entry])

    def _evaluate(self, entries: Sequence[_Entry]) -> None:
        if not entries:
            return
        began_s = time.monotonic()
        replies = self._evaluator.evaluate([entry.job for entry in entries])
        spent_s = time.monotonic() - began_s
        for entry, reply in zip(entries, replies, strict=True):
            answered = Answered(reply, began_s - entry.came_s, spent_s)
            _settle(entry.future, lambda future, answered=answered: future.set_result(answered))


def _fail(entries: Sequence[_Entry], error: Exception) -> None:
    for entry in entries:
        _settle(entry.future, lambda future: future.set_exception(error))


def _settle(future: Future[Answered], set_: Callable[[Future[Answered]], None]) -> None:
    with suppress(InvalidStateError):  # nobody waits for it any more, or it was failed before
        set_(future)
