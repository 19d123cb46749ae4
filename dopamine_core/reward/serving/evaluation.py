"""Batches of a request become clips, clips become readings by the loaded model, readings become replies.

Each frame of a trajectory is answered as if the trajectory ended with it, whether ``use_frame_steps`` is set or not. A
clip model scores growing prefixes, many at a time; any other model runs a session over the frames. The format carries
one camera: where a trajectory brings no wrist frames, the wrist view is missing in the references too, and the model
fills it as it does for a missing camera.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Protocol, runtime_checkable

from dopamine_core.errors import ModelError, WireError
from dopamine_core.frames.codec import encode
from dopamine_core.reward.clips import (
    ClipAnswer,
    ClipQuery,
    ClipRewardModel,
    ClipScorer,
    fault_of,
    window_of,
)
from dopamine_core.reward.labelling import BatchSession, checked
from dopamine_core.reward.session import References, RewardModel, RewardSession
from dopamine_core.reward.wire.values import (
    Batch,
    FrameAnswer,
    Frames,
    PreferenceAnswer,
    ProgressSample,
    Reply,
    Trajectory,
)
from dopamine_core.types import EncodedImage, FramePair, ModelId, Status

_NOT_ASKED = FrameAnswer(text="NOT_ASKED: only the last frame was asked for")


@dataclass(frozen=True, eq=False)
class Clip:
    """One trajectory ready for the model."""

    pairs: tuple[FramePair, ...]
    references: References
    last_only: bool


@dataclass(frozen=True, eq=False)
class Job:
    """One request ready for the model; ``abandoned`` is set when nobody waits for it any more."""

    clips: tuple[Clip, ...]  # of the progress samples, in order
    duels: tuple[tuple[Clip, Clip], ...]  # of the preference samples: chosen, rejected
    abandoned: Event = field(default_factory=Event)


@runtime_checkable
class ComparingModel(Protocol):
    """A reward model that compares two episodes itself, as by a preference head."""

    def preference(
        self, task: str, chosen: Sequence[FramePair], rejected: Sequence[FramePair]
    ) -> float:
        """Probability in [0, 1] that the chosen episode does the task better.

        :raises ModelError: when there is no answer.
        """


class Evaluator:
    """Answers jobs with one model. ``prepare`` may be called from any thread, ``evaluate`` from one only.

    :param model: what answers.
    :param references: task, goals and start that the server shows a model that needs them.
    :param goals_in_requests: whether requests bring their own goals instead.
    :param any_task: whether a task other than that of ``references`` is answered.
    :param batch: clips, or frames of a session, that the model is given at a time.
    :raises ModelError: when the model needs references and there are none.
    """

    def __init__(
        self,
        model: RewardModel,
        references: References | None = None,
        *,
        goals_in_requests: bool = False,
        any_task: bool = False,
        batch: int = 16,
    ) -> None:
        self.model = model
        self.references = references
        self._any_task = any_task
        self._batch = batch
        self.scorer: ClipScorer | None = (
            model.scorer if isinstance(model, ClipRewardModel) else None
        )
        if self.scorer is None and references is None and not goals_in_requests:
            raise ModelError(
                expected=f"goal images for {model.model_id.name!r}, which compares frames with a goal",
                got="none",
                remedy="name an adapted model's folder with --references or a demonstration with --goal, "
                "or let requests bring them with --goals-in-requests",
            )

        if self.scorer is None and references is not None:
            model.open(references)  # images that cannot be used are found before the first request

    @property
    def batches(self) -> bool:
        """Whether several requests are worth answering at a time."""
        return self.scorer is not None

    def prepare(self, batch: Batch) -> Job:
        """Encode a batch's frames as the cameras' are.

        :raises WireError: when task or goals are missing or not the server's.
        """
        clips, duels = [], []
        for sample in batch.samples:
            if isinstance(sample, ProgressSample):
                clips.append(self._clip(sample.trajectory, sample.trajectory.last_only))
            else:
                duels.append((self._clip(sample.chosen, True), self._clip(sample.rejected, True)))
        return Job(tuple(clips), tuple(duels))

    def evaluate(self, jobs: Sequence[Job]) -> list[Reply]:
        """Answer jobs, in order; an abandoned one may come back with frames unanswered."""
        compares = isinstance(self.model, ComparingModel)
        clips = [
            (clip, job.abandoned)
            for job in jobs
            for clip in (*job.clips, *(() if compares else itertools.chain(*job.duels)))
        ]
        rows = iter(self._score(clips) if self.scorer else [self._observe(*c) for c in clips])
        replies = []
        for job in jobs:
            progress = tuple(tuple(next(rows)) for _ in job.clips)
            if isinstance(self.model, ComparingModel):
                preferences = [_compared(self.model, *duel) for duel in job.duels]
            else:
                preferences = [preference_of(next(rows)[-1], next(rows)[-1]) for _ in job.duels]
            replies.append(Reply(progress, tuple(preferences)))
        return replies

    def _clip(self, trajectory: Trajectory, last_only: bool) -> Clip:
        references = self._references_of(trajectory)
        wrists = trajectory.wrist_frames
        if wrists is None:
            references = _without_wrist(references)
        return Clip(_pairs(trajectory.frames, wrists), references, last_only)

    def _references_of(self, trajectory: Trajectory) -> References:
        task = trajectory.task.strip()
        if trajectory.goal_frames is not None:
            goals = _pairs(trajectory.goal_frames, trajectory.goal_wrist_frames)
            starts = trajectory.start_frames
            start = None if starts is None else _pairs(starts, trajectory.start_wrist_frames)[0]
            return References(_required(task), goals, start)
        if self.references is None:
            if self.scorer is None:
                raise WireError(
                    expected="goal_frames with the trajectory: this server holds no goal images",
                    got="none",
                    remedy="send them, or start the server with --references or --goal",
                )
            return References(_required(task), ())
        if self._any_task or self.scorer is not None:
            return replace(self.references, task=task or self.references.task)
        return self._same_task(task, self.references)

    def _same_task(self, task: str, references: References) -> References:
        if task and _plain(task) != _plain(references.task):
            raise WireError(
                expected=f"the task that this server's goal images show: {references.task!r}",
                got=repr(task)[:200],
                remedy="ask for that task, send goal_frames, or start the server with --any-task",
            )
        return references

    def _score(self, clips: Sequence[tuple[Clip, Event]]) -> list[list[FrameAnswer]]:
        """Score the prefixes of all clips, a batch at a time."""
        rows = [[_NOT_ASKED] * len(clip.pairs) for clip, _ in clips]
        asked = [
            (row, k, query, abandoned)
            for row, (clip, abandoned) in zip(rows, clips, strict=True)
            for k, query in self._queries(clip)
        ]
        for first in range(0, len(asked), self._batch):
            part = [one for one in asked[first : first + self._batch] if not one[3].is_set()]
            answers = self._answers([query for _, _, query, _ in part])
            for (row, k, _, _), answer in zip(part, answers, strict=True):
                row[k] = _of_answer(answer)
        return rows

    def _queries(self, clip: Clip) -> Iterator[tuple[int, ClipQuery]]:
        """The prefixes asked for, each with the number of its last frame."""
        assert self.scorer is not None and isinstance(self.model, ClipRewardModel)
        self._open(replace(clip.references, goals=clip.references.goals or clip.pairs[:1]))
        frames = [self.scorer.encode(pair) for pair in clip.pairs]
        for k in range(len(frames) - 1 if clip.last_only else 0, len(frames)):
            window = window_of(frames[: k + 1], self.model.window)
            yield k, ClipQuery(clip.references.task, window, clip.references)

    def _answers(self, queries: list[ClipQuery]) -> list[ClipAnswer]:
        assert self.scorer is not None
        answers = self.scorer.score(queries) if queries else []
        if len(answers) != len(queries):
            raise ModelError(
                expected=f"{len(queries)} answers",
                got=f"{len(answers)}",
                remedy=f"repair the back end {self.scorer.model_id.name!r}",
            )
        return answers

    def _open(self, references: References) -> RewardSession:
        """Open a session; for a clip model, which needs none, only to have its task checked.

        :raises WireError: when the model cannot use the task.
        """
        try:
            return self.model.open(references)
        except ModelError as error:
            raise WireError(expected=error.expected, got=error.got, remedy=error.remedy) from error

    def _observe(self, clip: Clip, abandoned: Event) -> list[FrameAnswer]:
        """Run a session; it needs every frame, whichever are asked for."""
        session = self._open(clip.references)
        answers: list[FrameAnswer] = []
        for first in range(0, len(clip.pairs), self._batch):
            if abandoned.is_set():
                break
            part = clip.pairs[first : first + self._batch]
            if isinstance(session, BatchSession):
                readings = session.observe_all(part)
            else:
                readings = [session.observe(pair) for pair in part]
            answers += [_of_reading(reading) for reading in readings]
        answers += [_NOT_ASKED] * (len(clip.pairs) - len(answers))
        return [_NOT_ASKED] * (len(answers) - 1) + answers[-1:] if clip.last_only else answers


def _compared(model: ComparingModel, chosen: Clip, rejected: Clip) -> PreferenceAnswer:
    task = chosen.references.task
    return PreferenceAnswer(model.preference(task, chosen.pairs, rejected.pairs))


def preference_of(chosen: FrameAnswer, rejected: FrameAnswer) -> PreferenceAnswer:
    """Compare two trajectories by what is said of their last frames.

    The probability that the first is further: its error and the other's are taken as normal and independent. Where
    the model gives no uncertainty it is 1, 0.5 or 0.
    """
    if math.isnan(chosen.progress) or math.isnan(rejected.progress):
        return PreferenceAnswer(text=chosen.text or rejected.text)
    gap = chosen.progress - rejected.progress
    spread = math.hypot(chosen.uncertainty, rejected.uncertainty)  # NaN when one is not known
    if spread > 0.0:
        return PreferenceAnswer(0.5 * (1.0 + math.erf(gap / (spread * math.sqrt(2.0)))))
    return PreferenceAnswer(0.5 if gap == 0.0 else float(gap > 0.0))


def _pairs(fronts: Frames, wrists: Frames | None) -> tuple[FramePair, ...]:
    """Encode frames as the cameras' are; stamps count from 1."""
    pairs = []
    for k, front in enumerate(fronts):
        stamp_ns = k + 1
        image = encode(front, stamp_ns)
        wrist = _missing(image) if wrists is None else encode(wrists[k], stamp_ns)
        pairs.append(FramePair(image, wrist))
    return tuple(pairs)


def _without_wrist(references: References) -> References:
    goals = tuple(FramePair(goal.front, _missing(goal.front)) for goal in references.goals)
    start = references.start
    return References(
        references.task,
        goals,
        None if start is None else FramePair(start.front, _missing(start.front)),
    )


def _missing(front: EncodedImage) -> EncodedImage:
    return EncodedImage(front.stamp_ns, "jpeg", b"", front.width, front.height)


def _of_answer(answer: ClipAnswer) -> FrameAnswer:
    fault = fault_of(answer)
    if fault:
        status = Status.INVALID_HOP if answer.status is Status.OK else answer.status
        return FrameAnswer(text=f"{status.name}: {fault}")
    return FrameAnswer(answer.progress, answer.success_probability, uncertainty=answer.uncertainty)


def _of_reading(answer: object) -> FrameAnswer:
    reading = checked(answer, math.nan)
    if not reading.ok:
        return FrameAnswer(text=f"{reading.status.name}: {reading.text}")
    return FrameAnswer(
        reading.progress, reading.success_probability, uncertainty=reading.uncertainty
    )


def _required(task: str) -> str:
    if not task:
        raise WireError(
            expected="a task sentence", got="none", remedy="send it with each trajectory"
        )
    return task


def _plain(task: str) -> str:
    """A task without what does not change its meaning: case, spaces, the closing mark."""
    return " ".join(task.casefold().split()).rstrip(".! ")


def describe(model_id: ModelId) -> dict[str, object]:
    """A model's name, hash and whether it was adapted, as JSON values."""
    return {"name": model_id.name, "sha256": model_id.sha256, "adapted": model_id.adapted}


def hash_of(references: References) -> str:
    """SHA-256 over the task and all images, so that a client can tell one set from another."""
    start = [] if references.start is None else [references.start]
    digest = hashlib.sha256(references.task.encode())
    for pair in (*start, *references.goals):
        for image in (pair.front, pair.wrist):
            digest.update(hashlib.sha256(image.data).digest())
    return digest.hexdigest()
