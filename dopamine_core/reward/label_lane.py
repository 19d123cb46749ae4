"""Decisions and episode states come in as they arrive, one potential per decision goes out, in order.

The lane waits a little for frames that are still on their way, and after a close for decisions that are; time is an
argument. Any thread puts, one steps.
"""

from __future__ import annotations

import dataclasses
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from dopamine_core.errors import ConfigError, DopamineError, EpisodeError
from dopamine_core.reward.decision_queue import DecisionQueue, Find, Item, LabelLaneConfig
from dopamine_core.reward.labelling import EpisodeLabeller, unlabelled
from dopamine_core.reward.ledger import Answer, RewardLedger, Transition
from dopamine_core.reward.session import References, RewardModel
from dopamine_core.reward.shaping import ShapingConfig
from dopamine_core.reward.success import SuccessConfig, SuccessEvent, SuccessRule
from dopamine_core.types import (
    Decision,
    EpisodeInfo,
    EpisodeState,
    FramePair,
    ModelId,
    Potential,
    Status,
)

_REMEMBERED = 4  # episodes whose close or correction may still come
NO_MODEL = ModelId("none", "")


@dataclass
class _Episode:
    """What the lane keeps of one episode."""

    labeller: EpisodeLabeller | None
    refusal: tuple[Status, str]  # why there is no labeller
    ledger: RewardLedger
    model: ModelId
    open: bool = True
    last_stamp_ns: int = -1
    success_sent: bool = False


@dataclass(frozen=True)
class LaneOutput:
    """What one step made known."""

    episode_id: str
    opened: bool = False
    answer: Answer | None = None
    transitions: list[Transition] = field(default_factory=list)
    success: SuccessEvent | None = None


class LabelLane:
    """The label lane over all episodes.

    :param config: waiting times and limits.
    :param shaping: discount and terminal mode.
    :param success: threshold and consecutive rule.
    :param find: looks up frames that came before their decision.
    """

    def __init__(
        self,
        config: LabelLaneConfig,
        shaping: ShapingConfig,
        success: SuccessConfig,
        find: Find,
    ) -> None:
        self._config = config
        self._shaping = shaping
        self._success = success
        self._threshold = success.threshold
        self._lock = Lock()  # guards everything below against the putting threads
        self._queue = DecisionQueue(config, find)
        self._episodes: OrderedDict[str, _Episode] = OrderedDict()
        self._stepping = False
        self._working = 0  # decisions in the present step
        self.model: RewardModel | None = None
        self.why_no_model: Callable[[], str] = lambda: NO_MODEL_TEXT
        self.references: References | None = None
        self.ignored_decisions = 0  # repeated stamps
        self.answer_s = 0.0  # what one answer of the present model took last

    @property
    def backlog(self) -> int:
        """Decisions and episode states that wait."""
        return len(self._queue)

    @property
    def due(self) -> int:
        """Decisions that have no answer yet."""
        with self._lock:
            return self._due()

    @property
    def held_mb(self) -> float:
        """Memory that the frames of waiting decisions take, MB."""
        return self._queue.held_mb

    @property
    def refused_frames(self) -> int:
        """Decisions whose frames found no room."""
        return self._queue.refused_frames

    @property
    def model_fault(self) -> str:
        """Why there is no model."""
        return self.why_no_model()

    @property
    def threshold(self) -> float:
        """Progress that counts as success with the present model; NaN without one."""
        if self._threshold > 0.0:
            return self._threshold
        return float("nan") if self.model is None else self.model.success_threshold

    def put_decision(self, decision: Decision, now_ns: int) -> None:
        """Queue a decision for its answer, with its frames if they are there."""
        with self._lock:
            self._queue.put_decision(decision, now_ns, self.references)

    def put_pair(self, pair: FramePair) -> None:
        """Give a new pair to the decisions that wait for it; call it once ``find`` finds the pair."""
        with self._lock:
            self._queue.put_pair(pair)

    def put_episode(self, info: EpisodeInfo, now_ns: int) -> None:
        """Queue a state of the episode's authority."""
        with self._lock:
            self._queue.put_episode(info, now_ns, self.references)

    def set_references(self, references: References) -> bool:
        """Set task, goals and start; True when an open episode keeps the old ones."""
        with self._lock:
            self.references = references
            return self._busy()

    def refuse_if_open(self) -> None:
        """Check that no episode is open; one whose close is being settled does not count.

        :raises EpisodeError: while an episode is open.
        """
        with self._lock:
            ended = self._queue.ended
            if any(e.open and name not in ended for name, e in self._episodes.items()):
                raise _not_now("an open episode")

    @property
    def settled(self) -> bool:
        """Whether no episode is open and nothing is left to answer."""
        with self._lock:
            return not self._busy()

    def refuse_if_due(self) -> None:
        """Check that nothing is left to answer.

        :raises EpisodeError: with how many answers are due and how long they take.
        """
        with self._lock:
            if self._busy():
                raise self._unsettled()

    def swap_model(self, model: RewardModel, threshold: float = 0.0) -> None:
        """Swap the model between episodes.

        :param threshold: progress that counts as success; 0 takes the configured one, else the model's.
        :raises EpisodeError: while an episode is open.
        :raises ConfigError: when the threshold is out of range.
        """
        if not 0.0 <= threshold <= 1.0:
            raise ConfigError(
                expected="a success threshold in [0, 1]",
                got=str(threshold),
                remedy="give 0 for the one stored with the model",
            )
        with self._lock:
            if self._busy():
                raise self._unsettled()
            self.model, self._threshold = model, threshold or self._success.threshold

    def step(self, now_ns: int) -> list[LaneOutput]:
        """Do the next piece of work; nothing when nothing is ready."""
        with self._lock:
            items = self._queue.take(now_ns, self._batched)
            self._working = sum(item.decision is not None for item in items)
            self._stepping = bool(items)
        try:
            return self._handle(items, now_ns)
        finally:
            self._working, self._stepping = 0, False

    def _busy(self) -> bool:
        open_episode = any(episode.open for episode in self._episodes.values())
        return len(self._queue) > 0 or self._stepping or open_episode

    def _due(self) -> int:
        return self._queue.decisions + self._working

    def _unsettled(self) -> EpisodeError:
        """What stands against a swap."""
        due = self._due()
        got = f"{due} answers still due, about {due * self.answer_s:.0f} s with the present model"
        open_episode = any(episode.open for episode in self._episodes.values())
        return _not_now(f"an open episode and {got}" if open_episode else got)

    def _batched(self, episode_id: str) -> bool:
        episode = self._episodes.get(episode_id)
        return episode is not None and episode.labeller is not None and episode.labeller.batched

    def _handle(self, items: list[Item], now_ns: int) -> list[LaneOutput]:
        if not items:
            return []
        if items[0].info is not None:
            return [self._on_state(items[0].info, items[0].references)]
        return self._answer(items, now_ns)

    def _on_state(self, info: EpisodeInfo, references: References | None) -> LaneOutput:
        known = info.episode_id in self._episodes
        if info.state is EpisodeState.IDLE:
            self._close_all()
        if info.state is EpisodeState.OPEN and not known:
            self._open(info.episode_id, references)
            return LaneOutput(info.episode_id, opened=True)
        if info.state is EpisodeState.CLOSED and known:
            episode = self._episodes[info.episode_id]
            episode.open = False
            return LaneOutput(info.episode_id, transitions=episode.ledger.close(info))
        return LaneOutput(info.episode_id)

    def _open(self, episode_id: str, references: References | None) -> _Episode:
        """Open an episode; the authority runs one at a time, so older ones are over."""
        self._close_all()
        labeller, refusal = self._labeller(references)
        model = NO_MODEL if self.model is None else self.model.model_id
        episode = _Episode(labeller, refusal, RewardLedger(self._shaping), model)
        self._episodes[episode_id] = episode
        while len(self._episodes) > _REMEMBERED:
            self._episodes.popitem(last=False)
        return episode

    def _close_all(self) -> None:
        for episode in self._episodes.values():
            episode.open = False

    def _labeller(
        self, references: References | None
    ) -> tuple[EpisodeLabeller | None, tuple[Status, str]]:
        if self.model is None:
            return None, (Status.MODEL_ERROR, self.model_fault)
        if references is None or not references.task.strip() or not references.goals:
            return None, (Status.NO_TASK, NO_TASK_TEXT)
        rule = SuccessRule(self.threshold, self._success.consecutive, self.model.success_signal)
        try:
            return EpisodeLabeller(self.model, references, rule), (Status.OK, "")
        except DopamineError as error:
            return None, (Status.MODEL_ERROR, str(error))
        except Exception as error:  # a back end may raise anything; the lane must still answer
            return None, (Status.MODEL_ERROR, f"{type(error).__name__}: {error}")

    def _answer(self, items: list[Item], now_ns: int) -> list[LaneOutput]:
        """Answer decisions of one episode, in order."""
        decisions = [item.decision for item in items if item.decision is not None]
        name = decisions[0].episode_id
        opened = name not in self._episodes
        episode = self._open(name, items[0].references) if opened else self._episodes[name]
        fresh = []
        for item, decision in zip(items, decisions, strict=True):
            if decision.stamp_ns > episode.last_stamp_ns:
                episode.last_stamp_ns = decision.stamp_ns
                fresh.append(item)
        self.ignored_decisions += len(items) - len(fresh)
        if not fresh:
            return [LaneOutput(name, opened)]
        began_s = time.monotonic()
        potentials = self._label(episode, fresh)
        spent_s = time.monotonic() - began_s
        if any(item.pair is not None for item in fresh):
            self.answer_s = spent_s / len(fresh)
        known_ns = now_ns + int(spent_s * 1e9)
        outputs = [
            self._output(episode, potential, item.pair, known_ns)
            for potential, item in zip(potentials, fresh, strict=True)
        ]
        return [dataclasses.replace(outputs[0], opened=opened), *outputs[1:]]

    def _output(
        self, episode: _Episode, potential: Potential, pair: FramePair | None, known_ns: int
    ) -> LaneOutput:
        age_ns = 0 if pair is None else known_ns - pair.stamp_ns
        answer = Answer(potential, age_ns, 0 if pair is None else pair.skew_ns)
        event = None if episode.labeller is None else episode.labeller.success
        if event is not None and event.stamp_ns > potential.decision_stamp_ns:
            event = None  # it comes with a later decision of this step
        transitions = episode.ledger.add(answer, None if event is None else event.stamp_ns)
        first = event is not None and not episode.success_sent
        episode.success_sent |= first
        return LaneOutput(
            potential.episode_id, False, answer, transitions, event if first else None
        )

    def _label(self, episode: _Episode, items: list[Item]) -> list[Potential]:
        decisions = [item.decision for item in items if item.decision is not None]
        pairs = [item.pair for item in items if item.pair is not None]
        if episode.labeller is None:
            status, text = episode.refusal
            text = self.model_fault if episode.model is NO_MODEL else text
            return [unlabelled(decision, status, text, episode.model) for decision in decisions]
        if pairs:
            return episode.labeller.label_all(decisions, pairs)
        text = items[0].refused or (
            f"expected the frames {decisions[0].frames_key} within "
            f"{self._config.frame_deadline_s} s, got none; take them from reward/frame_pairs"
        )
        return [episode.labeller.decline(decisions[0], Status.MISSING_FRAME, text)]


NO_MODEL_TEXT = "expected a reward model, got none; load one with reward/load_model"
NO_TASK_TEXT = "expected a task with a goal image, got none; set them with reward/set_task"


def _not_now(got: str) -> EpisodeError:
    return EpisodeError(
        expected="no open episode and no answers due while the reward model is swapped",
        got=got,
        remedy="close the episode first and wait until its answers are out",
    )
