"""Decisions and episode states come in as they arrive, one potential per decision goes out, in order.

The lane waits a little for frames that are still on their way, and after a close for decisions that are;
time is an argument. One thread puts, another steps.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from dopamine_core.config import check, setting
from dopamine_core.errors import ConfigError, DopamineError, EpisodeError
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

Find = Callable[[tuple[int, int]], FramePair | None]
_REMEMBERED = 4  # episodes whose close or correction may still come
NO_MODEL = ModelId("none", "")


@dataclass(frozen=True)
class LabelLaneConfig:
    """How long the lane waits."""

    frame_deadline_s: float = setting(
        0.3,
        doc="How long a decision waits for the frames it names before it is answered without.",
        unit="s",
        low=0.0,
        high=60.0,
    )
    close_grace_s: float = setting(
        0.3,
        doc="How long a closed episode waits for decisions that are still on their way.",
        unit="s",
        low=0.0,
        high=60.0,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass
class _Item:
    """Something that arrived: a decision with its frames once they are found, or an episode state."""

    arrived_ns: int
    decision: Decision | None = None
    info: EpisodeInfo | None = None
    pair: FramePair | None = None


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

    :param config: waiting times.
    :param shaping: discount and terminal mode.
    :param success: threshold and consecutive rule.
    """

    def __init__(
        self, config: LabelLaneConfig, shaping: ShapingConfig, success: SuccessConfig
    ) -> None:
        self._config = config
        self._shaping = shaping
        self._success = success
        self._threshold = success.threshold
        self._lock = Lock()  # guards everything below against the putting threads
        self._inbox: deque[_Item] = deque()
        self._episodes: OrderedDict[str, _Episode] = OrderedDict()
        self._working = False
        self.model: RewardModel | None = None
        self.model_fault = "expected a reward model, got none; load one with reward/load_model"
        self.references: References | None = None
        self.ignored_decisions = 0  # repeated stamps

    @property
    def backlog(self) -> int:
        """Decisions and episode states that wait."""
        return len(self._inbox)

    @property
    def threshold(self) -> float:
        """Progress that counts as success with the present model; NaN without one."""
        if self._threshold > 0.0:
            return self._threshold
        return float("nan") if self.model is None else self.model.success_threshold

    def put_decision(self, decision: Decision, now_ns: int) -> None:
        """Queue a decision for its answer."""
        with self._lock:
            self._inbox.append(_Item(now_ns, decision=decision))

    def put_episode(self, info: EpisodeInfo, now_ns: int) -> None:
        """Queue a state of the episode's authority."""
        with self._lock:
            self._inbox.append(_Item(now_ns, info=info))

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
            ended = {item.info.episode_id for item in self._inbox if _ends(item)}
            if any(e.open and name not in ended for name, e in self._episodes.items()):
                raise _not_now("an open episode")

    @property
    def settled(self) -> bool:
        """Whether no episode is open and nothing is left to answer."""
        with self._lock:
            return not self._busy()

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
                raise _not_now("an open episode or answers still due")
            self.model, self._threshold = model, threshold or self._success.threshold

    def step(self, now_ns: int, find: Find) -> LaneOutput | None:
        """Do the next piece of work, or return None when nothing is ready.

        :param find: looks up the frames of a decision.
        """
        with self._lock:
            item = self._next(now_ns, find)
            if item is None:
                return None
            self._working = True
        try:
            return self._handle(item, now_ns)
        finally:
            self._working = False

    def _busy(self) -> bool:
        open_episode = any(episode.open for episode in self._episodes.values())
        return bool(self._inbox) or self._working or open_episode

    def _next(self, now_ns: int, find: Find) -> _Item | None:
        """Take the first item if it is ready; a close lets its episode's late decisions pass."""
        for item in self._inbox:
            if item.decision is not None and item.pair is None:
                item.pair = find(item.decision.frames_key)
        if not self._inbox:
            return None
        head = self._inbox[0]
        if head.info is not None and head.info.state is EpisodeState.CLOSED:
            head = next((i for i in self._inbox if _of_episode(i, head.info)), head)
        if not self._ready(head, now_ns):
            return None
        self._inbox.remove(head)
        return head

    def _ready(self, item: _Item, now_ns: int) -> bool:
        waited_s = (now_ns - item.arrived_ns) / 1e9
        if item.decision is not None:
            return item.pair is not None or waited_s >= self._config.frame_deadline_s
        closed = item.info is not None and item.info.state is EpisodeState.CLOSED
        return not closed or waited_s >= self._config.close_grace_s

    def _handle(self, item: _Item, now_ns: int) -> LaneOutput | None:
        if item.decision is not None:
            return self._answer(item.decision, item.pair, now_ns)
        assert item.info is not None
        return self._on_state(item.info)

    def _on_state(self, info: EpisodeInfo) -> LaneOutput:
        known = info.episode_id in self._episodes
        if info.state is EpisodeState.IDLE:
            self._close_all()
        if info.state is EpisodeState.OPEN and not known:
            self._open(info.episode_id)
            return LaneOutput(info.episode_id, opened=True)
        if info.state is EpisodeState.CLOSED and known:
            episode = self._episodes[info.episode_id]
            episode.open = False
            return LaneOutput(info.episode_id, transitions=episode.ledger.close(info))
        return LaneOutput(info.episode_id)

    def _open(self, episode_id: str) -> _Episode:
        """Open an episode; the authority runs one at a time, so older ones are over."""
        self._close_all()
        labeller, refusal = self._labeller()
        model = NO_MODEL if self.model is None else self.model.model_id
        episode = _Episode(labeller, refusal, RewardLedger(self._shaping), model)
        self._episodes[episode_id] = episode
        while len(self._episodes) > _REMEMBERED:
            self._episodes.popitem(last=False)
        return episode

    def _close_all(self) -> None:
        for episode in self._episodes.values():
            episode.open = False

    def _labeller(self) -> tuple[EpisodeLabeller | None, tuple[Status, str]]:
        if self.model is None:
            return None, (Status.MODEL_ERROR, self.model_fault)
        references = self.references
        if references is None or not references.task.strip() or not references.goals:
            return None, (Status.NO_TASK, NO_TASK_TEXT)
        rule = SuccessRule(self.threshold, self._success.consecutive, self.model.success_signal)
        try:
            return EpisodeLabeller(self.model, references, rule), (Status.OK, "")
        except DopamineError as error:
            return None, (Status.MODEL_ERROR, str(error))
        except Exception as error:  # a back end may raise anything; the lane must still answer
            return None, (Status.MODEL_ERROR, f"{type(error).__name__}: {error}")

    def _answer(self, decision: Decision, pair: FramePair | None, now_ns: int) -> LaneOutput | None:
        opened = decision.episode_id not in self._episodes
        episode = (
            self._open(decision.episode_id) if opened else self._episodes[decision.episode_id]
        )
        if decision.stamp_ns <= episode.last_stamp_ns:
            self.ignored_decisions += 1
            return LaneOutput(decision.episode_id, opened)
        episode.last_stamp_ns = decision.stamp_ns
        potential = self._label(episode, decision, pair)
        age_ns = 0 if pair is None else now_ns - pair.stamp_ns + potential.reading.inference_ns
        answer = Answer(potential, age_ns, 0 if pair is None else pair.skew_ns)
        event = None if episode.labeller is None else episode.labeller.success
        transitions = episode.ledger.add(answer, None if event is None else event.stamp_ns)
        first = event is not None and not episode.success_sent
        episode.success_sent |= first
        return LaneOutput(
            decision.episode_id, opened, answer, transitions, event if first else None
        )

    def _label(
        self, episode: _Episode, decision: Decision, pair: FramePair | None
    ) -> Potential:
        if episode.labeller is None:
            return unlabelled(decision, *episode.refusal, model=episode.model)
        if pair is None:
            text = (
                f"expected the frames {decision.frames_key} within "
                f"{self._config.frame_deadline_s} s, got none; take them from reward/frame_pairs"
            )
            return episode.labeller.decline(decision, Status.MISSING_FRAME, text)
        return episode.labeller.label(decision, pair)


NO_TASK_TEXT = "expected a task with a goal image, got none; set them with reward/set_task"


def _ends(item: _Item) -> bool:
    return item.info is not None and item.info.state is not EpisodeState.OPEN


def _not_now(got: str) -> EpisodeError:
    return EpisodeError(
        expected="no open episode while the reward model is swapped",
        got=got,
        remedy="close the episode first",
    )


def _of_episode(item: _Item, info: EpisodeInfo) -> bool:
    return item.decision is not None and item.decision.episode_id == info.episode_id
