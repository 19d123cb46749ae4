"""Episodes and training requests come in; gradient steps, policy versions and checkpoints come out.

One thread does all learning, so that no callback ever waits for it. Without ROS: the node hands over values.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from dopamine_core.config import check, setting
from dopamine_core.episodes.data import EpisodeData
from dopamine_core.errors import DopamineError, LearnerError
from dopamine_core.rl.checkpoint import (
    EpisodeName,
    newest_checkpoint,
    read_checkpoint,
    restore,
    save_checkpoint,
)
from dopamine_core.rl.learner import Learner
from dopamine_core.rl.status import LearnerState, Phase
from dopamine_core.rl.transitions import ObservedEpisode
from dopamine_core.types import EpisodeKind, Outcome

CHUNK = 10  # updates between two looks at the queue
WAIT_S = 0.5  # between two looks for labels that training waits for
RATE_WINDOW = 50  # chunks that the published update rate averages over


@dataclass(frozen=True)
class WorkerConfig:
    """When policies and checkpoints are written."""

    publish_updates: int = setting(
        200, doc="Critic updates between two policy versions, at most.", low=1, high=10**6
    )
    checkpoint_episodes: int = setting(
        5, doc="Practice episodes between two checkpoints.", low=1, high=10**4
    )
    queue_size: int = setting(
        16, doc="Episodes that may wait for the learner; the oldest go first.", low=1, high=1000
    )

    def __post_init__(self) -> None:
        check(self)


class _TakenBackError(LearnerError):
    """Training was taken back while it waited."""


@dataclass(frozen=True)
class TrainRequest:
    """What the train action asks for."""

    bag_paths: tuple[str, ...]
    gradient_steps: int = 0  # 0: the configured number
    then_online: bool = False
    resume_from: str = ""


@dataclass
class TrainJob:
    """A request and how it goes; the worker writes, the action reads."""

    request: TrainRequest
    fraction: float = 0.0
    error: DopamineError | None = None
    cancelled: bool = False
    checkpoint: str = ""
    cancel: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


class LearnerWorker:
    """The learning thread.

    :param make: makes an empty learner with the configured settings.
    :param load: loads bags, relabelled if need be; also called with every bag of a request first, so that it can
        find the present reward model. It may call its second argument again and again with what it waits for.
    :param late: gives the next practice episode whose labels came later than the episode, or None.
    :param begin: called before a request's episodes are loaded into an empty learner.
    :param observe: looks at the images of an episode.
    :param root: folder of the checkpoints.
    :param on_policy: takes (version, ONNX bytes).
    :param on_change: called when the phase changes.
    :param complain: takes a warning in words.
    """

    def __init__(
        self,
        config: WorkerConfig,
        *,
        make: Callable[[], Learner],
        load: Callable[[list[str], Callable[[str], None]], list[EpisodeData]],
        late: Callable[[], EpisodeData | None] = lambda: None,
        begin: Callable[[], None] = lambda: None,
        observe: Callable[[EpisodeData], ObservedEpisode],
        root: Path,
        on_policy: Callable[[int, bytes], None],
        on_change: Callable[[], None],
        complain: Callable[[str], None],
    ) -> None:
        self.state = LearnerState()
        self._config, self._root = config, root
        self._make, self._load, self._observe = make, load, observe
        self._late, self._begin = late, begin
        self._job: TrainJob | None = None  # in work
        self._on_policy, self._on_change, self._complain = on_policy, on_change, complain
        self._learner: Learner | None = None
        self._online = False
        self._version = 0
        self._published_at = 0  # gradient steps of the last policy version
        self._rates: deque[float] = deque(maxlen=RATE_WINDOW)
        self._since_checkpoint = 0
        self._episodes: queue.Queue[EpisodeData] = queue.Queue(config.queue_size)
        self._jobs: queue.Queue[TrainJob] = queue.Queue()
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the thread after the present update; what was learned is saved."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def train(self, request: TrainRequest) -> TrainJob:
        """Hand over a training request; watch the returned job."""
        job = TrainJob(request)
        self._jobs.put(job)
        self._wake.set()
        return job

    def look(self) -> None:
        """Say that ``late`` may have something."""
        self._wake.set()

    def put_episode(self, episode: EpisodeData) -> None:
        """Hand over a practice episode; when the learner is far behind, the oldest waiting one is given up."""
        while True:
            try:
                self._episodes.put_nowait(episode)
                break
            except queue.Full:
                lost = self._episodes.get_nowait()
                self._complain(
                    f"expected the learner to keep up, got {self._config.queue_size} waiting episodes; "
                    f"{lost.info.episode_id} is not learned from"
                )
        self._wake.set()

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if not self._step():
                    self._wake.wait(1.0)
                    self._wake.clear()
            except DopamineError as error:
                self._fail(error)
            except Exception as error:  # the node must live on and say what happened
                self._fail(
                    LearnerError(
                        expected="learning to go on",
                        got=f"{type(error).__name__}: {error}",
                        remedy="see the learner's log; resume from the last checkpoint",
                    )
                )
        if self._learner is not None and self._learner.gradient_steps:
            self._save(self._learner)

    def _step(self) -> bool:
        """Do one piece of work; False when there is none."""
        if not self._jobs.empty():
            self._train(self._jobs.get())
            return True
        if not self._episodes.empty():
            self._take(self._episodes.get())
            return True
        episode = self._late() if self._online else None
        if episode is not None:
            self._take(episode)
            return True
        return self._learn_online()

    def _train(self, job: TrainJob) -> None:
        self._job = job
        try:
            self._set(Phase.LOADING, waiting_for="")
            self._online = False
            self._prepare(job)
            self._learn_offline(job)
            self._online = job.request.then_online
        except _TakenBackError:
            job.cancelled = True
            self._set(Phase.IDLE, waiting_for="")
        except DopamineError as error:
            job.error = error
            self._fail(error)
        finally:
            self._job = None
            job.done.set()

    def _wait(self, what: str) -> None:
        """Wait a moment for labels, and say so.

        :raises _TakenBackError: when the job is taken back or the node stops.
        """
        self._set(Phase.LOADING, waiting_for=what)
        cancelled = self._job is not None and self._job.cancel.is_set()
        if cancelled or self._stopping.wait(WAIT_S):
            raise _TakenBackError(expected=what, got="a cancellation", remedy="train again")

    def _prepare(self, job: TrainJob) -> None:
        """Make the learner and fill its buffers, from a checkpoint or from bags."""
        self._begin()
        learner, request = self._make(), job.request
        known: set[str] = set()
        if request.resume_from:
            checkpoint = read_checkpoint(newest_checkpoint(Path(request.resume_from)))
            known = {name.bag_path for name in checkpoint.episodes}
            restore(learner, checkpoint, self._load_named)
            self._version = max(self._version, checkpoint.policy_version)
        episodes = self._load([p for p in request.bag_paths if p not in known], self._wait)
        observed = [self._observe(episode) for episode in episodes]
        self._give(learner, observed, resumed=bool(request.resume_from))
        self._learner, self._published_at = learner, learner.gradient_steps
        self._set(Phase.LOADING, waiting_for="")

    def _give(self, learner: Learner, episodes: list[ObservedEpisode], *, resumed: bool) -> None:
        demonstrations = [e for e in episodes if e.info.kind is EpisodeKind.DEMONSTRATION]
        if not resumed:
            learner.set_demonstrations(demonstrations)
        else:
            for episode in demonstrations:
                learner.add_demonstration(episode)
        for episode in episodes:
            if episode.info.kind is not EpisodeKind.DEMONSTRATION:
                learner.add_practice(episode)

    def _load_named(self, name: EpisodeName) -> ObservedEpisode:
        if not name.bag_path:
            raise LearnerError(
                expected=f"the recording of {name.episode_id}",
                got="an episode that was never recorded",
                remedy="resume from an older checkpoint, or train anew",
            )
        return self._observe(self._load([name.bag_path], self._wait)[0])

    def _learn_offline(self, job: TrainJob) -> None:
        learner = self._ready()
        steps = job.request.gradient_steps
        if not steps and not job.request.resume_from:
            steps = learner.config.offline_steps
        target = learner.gradient_steps + steps
        self._set(Phase.OFFLINE, gradient_steps_target=target)
        for done in range(0, steps, CHUNK):
            job.cancelled = job.cancel.is_set() or self._stopping.is_set()
            if job.cancelled:
                break
            self._updates(learner.update_offline, min(CHUNK, steps - done))
            job.fraction = min(1.0, (done + CHUNK) / steps)
        job.checkpoint = self._save(learner)
        self._publish(learner)
        self._set(Phase.IDLE, waiting_for="", gradient_steps_target=0)

    def _take(self, episode: EpisodeData) -> None:
        if self._learner is None or not self._online:
            return
        if episode.info.outcome is Outcome.DISCARDED:
            self._complain(f"{episode.info.episode_id} was discarded and is not learned from")
            return
        observed = self._observe(episode)
        if not self._learner.correct(observed):
            self._learner.add_practice(observed)
            self._since_checkpoint += 1
        self._set(self.state.phase)

    def _learn_online(self) -> bool:
        learner = self._learner
        if learner is None or not self._online:
            return False
        waiting = learner.waiting_for()
        if waiting:
            self._rest(learner, waiting)
            return False
        self._set(Phase.ONLINE, waiting_for="")
        self._updates(learner.update_online, min(CHUNK, learner.pending))
        if learner.gradient_steps - self._published_at >= self._config.publish_updates:
            self._publish(learner)
        return True

    def _rest(self, learner: Learner, waiting: str) -> None:
        """All updates are done: publish, save if it is time, and say what is waited for."""
        if learner.gradient_steps > self._published_at:
            self._publish(learner)
            if self._since_checkpoint >= self._config.checkpoint_episodes:
                self._save(learner)
        self._set(Phase.WAITING, waiting_for=waiting)

    def _updates(self, update: Callable[[], None], count: int) -> None:
        start_s = time.perf_counter()
        for _ in range(count):
            update()
        self._rates.append(count / max(time.perf_counter() - start_s, 1e-9))
        self._set(self.state.phase)

    def _publish(self, learner: Learner) -> None:
        self._version += 1
        self._published_at = learner.gradient_steps
        self._on_policy(self._version, learner.export())
        self._set(self.state.phase)

    def _save(self, learner: Learner) -> str:
        self._since_checkpoint = 0
        folder = save_checkpoint(learner, self._root, policy_version=self._version)
        self._set(self.state.phase, checkpoint=str(folder))
        return str(folder)

    def _fail(self, error: DopamineError) -> None:
        self._online = False
        self._complain(str(error))
        self._set(Phase.FAILED, waiting_for=str(error))

    def _ready(self) -> Learner:
        assert self._learner is not None
        return self._learner

    def _set(self, phase: Phase, **changes: object) -> None:
        """Replace the published state; tell the node when the phase changed."""
        before = self.state.phase
        learner = self._learner
        if learner is not None:
            changes |= {
                "counts": learner.counts,
                "gradient_steps": learner.gradient_steps,
                "health": learner.health(),
            }
        rate = sum(self._rates) / len(self._rates) if self._rates else 0.0
        running = phase in (Phase.OFFLINE, Phase.ONLINE)
        self.state = replace(
            self.state,
            phase=phase,
            policy_version=self._version,
            updates_per_second=rate if running else 0.0,
            **changes,  # type: ignore[arg-type]
        )
        if phase is not before:
            self._on_change()
