"""A reward model goes in, the same one with a time limit comes out: it computes in a thread of its own.

Whoever asks gets an answer or an error in time, also when the model hangs, and can stop waiting at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, TypeVar

from dopamine_core.errors import ModelError
from dopamine_core.reward.session import References, RewardModel, RewardSession
from dopamine_core.types import FramePair, ModelId, Reading

T = TypeVar("T")


class GuardedModel:
    """A RewardModel that never keeps its caller longer than the limit.

    A call that is overdue is answered with an error, and so is every further call until the model is free again: it
    is never asked twice at a time, and its late answer is not used.

    :param model: the model that answers.
    :param timeout_s: seconds that one inference may take, > 0.
    """

    def __init__(self, model: RewardModel, timeout_s: float) -> None:
        self.model = model
        self._caller = _Caller(model.model_id.name, timeout_s)

    @property
    def model_id(self) -> ModelId:
        """Which model answers."""
        return self.model.model_id

    @property
    def fast(self) -> bool:
        """Whether it answers within one decision period."""
        return self.model.fast

    @property
    def success_threshold(self) -> float:
        """Threshold calibrated for this model."""
        return self.model.success_threshold

    @property
    def success_signal(self) -> str:
        """What the threshold is compared with."""
        return self.model.success_signal

    @property
    def running_s(self) -> float:
        """Seconds that the present call has been running; 0 while the model is free."""
        return self._caller.running_s

    @property
    def overdue(self) -> str:
        """What is wrong while a call takes longer than the limit; else empty."""
        return self._caller.overdue

    def open(self, references: References) -> GuardedSession:
        """Open a session for one episode.

        :raises ModelError: when task or goal cannot be used, or the model is overdue.
        """
        return GuardedSession(self._caller.call(self.model.open, references), self._caller)

    def retire(self) -> None:
        """Answer no further call; the present one may end, then the thread and the model are gone."""
        self._caller.retire()

    def stop(self) -> None:
        """Retire, and let nobody wait any longer; whoever does gets an error at once."""
        self._caller.stop()


class GuardedSession:
    """A session whose model computes in the guard's thread.

    ``observe_all`` is there only when the model's own session has it.
    """

    def __init__(self, session: RewardSession, caller: _Caller) -> None:
        self._session = session
        self._caller = caller
        if hasattr(session, "observe_all"):
            self.observe_all = self._observe_all

    @property
    def last(self) -> Reading | None:
        """Reading of the last sample."""
        return self._session.last

    def observe(self, pair: FramePair) -> Reading:
        """Answer the next sample and advance the chain.

        :raises ModelError: when the model is overdue.
        """
        return self._caller.call(self._session.observe, pair)

    def peek(self, pair: FramePair) -> Reading:
        """Answer as ``observe`` would, but leave the chain where it is."""
        return self._caller.call(self._session.peek, pair)

    def _observe_all(self, pairs: Sequence[FramePair]) -> list[Reading]:
        """Answer several samples in one go; each may take as long as one alone."""
        everything: Any = self._session
        return self._caller.call(everything.observe_all, pairs, count=len(pairs))


class _Job:
    """One call: what is to be done, and how it ended."""

    def __init__(self, work: Callable[[], Any], limit_s: float) -> None:
        self.work, self.limit_s = work, limit_s
        self.began_s = time.monotonic()
        self.answer: Any = None
        self.error: Exception | None = None
        self.ended = False
        self.woken = Event()  # it ended, or nobody shall wait any longer

    def run(self) -> None:
        """Do it; whatever happens is kept for who asked."""
        try:
            self.answer = self.work()
        except Exception as error:  # a back end may raise anything
            self.error = error
        self.ended = True
        self.woken.set()


class _Caller:
    """One thread that does one call at a time."""

    def __init__(self, name: str, timeout_s: float) -> None:
        self._name, self._timeout_s = name, timeout_s
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = Lock()
        self._job: _Job | None = None
        self._thread: Thread | None = None
        self._retired = False

    @property
    def running_s(self) -> float:
        job = self._job
        return 0.0 if job is None or job.ended else time.monotonic() - job.began_s

    @property
    def overdue(self) -> str:
        job = self._job
        return str(self._late(job)) if job is not None and self.running_s > job.limit_s else ""

    def call(self, function: Callable[..., T], *arguments: Any, count: int = 1) -> T:
        with self._lock:
            if self._retired:
                raise self._given_up()
            if self._job is not None and not self._job.ended:
                raise self._late(self._job)
            job = self._job = _Job(lambda: function(*arguments), count * self._timeout_s)
            self._start()
            self._jobs.put(job)
        job.woken.wait(job.limit_s)
        if not job.ended:
            raise self._given_up() if self._retired else self._late(job)
        if job.error is not None:
            raise job.error
        return job.answer

    def retire(self) -> None:
        with self._lock:
            self._retired = True
        self._jobs.put(None)

    def stop(self) -> None:
        self.retire()
        if self._job is not None:
            self._job.woken.set()

    def _start(self) -> None:
        """Start the thread with the first call: it then has the caller's priority."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="reward model", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()

    def _late(self, job: _Job) -> ModelError:
        return ModelError(
            expected=f"an answer of the reward model {self._name!r} within {job.limit_s:g} s",
            got=f"none for {time.monotonic() - job.began_s:.1f} s, it is still computing",
            remedy="look at its process or server, load another one with reward/load_model, or raise "
            "inference_timeout_s",
        )

    def _given_up(self) -> ModelError:
        return ModelError(
            expected=f"an answer of the reward model {self._name!r}",
            got="its end before that: the node stops, or another model was loaded",
            remedy="ask the present one; an episode can be relabelled from its recording",
        )
