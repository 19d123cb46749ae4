"""Decisions, frame pairs and episode states come in as they arrive; what is ready goes out, in order.

A decision gets hold of its frames as soon as both are there and keeps them until its turn, however long the model
takes: no frame is lost to a slow model. The memory for them is bounded.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dopamine_core.config import check, setting
from dopamine_core.reward.session import References
from dopamine_core.types import Decision, EpisodeInfo, EpisodeState, FramePair

Key = tuple[int, int]
Find = Callable[[Key], FramePair | None]


@dataclass(frozen=True)
class LabelLaneConfig:
    """How long the label lane waits, and how much it keeps."""

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
    held_mb: float = setting(
        512.0,
        doc="Memory for the frames of decisions that wait for a slow model; decisions beyond it "
        "are answered without.",
        unit="MB",
        low=0.001,
        high=1e6,
    )
    batch: int = setting(
        1,
        doc="Waiting decisions that a model which can is asked for in one go; more only where the back end gains by "
        "it: the monitor waits for all of them, and a failure costs all of them.",
        low=1,
        high=256,
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(eq=False)
class Item:
    """Something that arrived: a decision with its frames once they are there, or an episode state."""

    arrived_ns: int
    decision: Decision | None = None
    info: EpisodeInfo | None = None
    pair: FramePair | None = None
    references: References | None = None  # as they were set when it came
    refused: str = ""  # why it must do without its frames, though they were there

    @property
    def closes(self) -> bool:
        """Whether it is the close of an episode."""
        return self.info is not None and self.info.state is EpisodeState.CLOSED


class DecisionQueue:
    """What waits for the label lane. Not thread-safe: the caller holds a lock.

    :param config: waiting times and limits.
    :param find: looks up frames that came before their decision.
    """

    def __init__(self, config: LabelLaneConfig, find: Find) -> None:
        self._config = config
        self._find = find
        self._items: deque[Item] = deque()
        self._awaited: dict[Key, list[Item]] = {}  # decisions whose frames are not there yet
        self._held_bytes = 0
        self.refused_frames = 0  # decisions whose frames found no room

    def __len__(self) -> int:
        """Return the number of decisions and episode states that wait."""
        return len(self._items)

    @property
    def decisions(self) -> int:
        """Decisions that wait."""
        return sum(item.decision is not None for item in self._items)

    @property
    def ended(self) -> set[str]:
        """Episodes whose end waits to be handled."""
        infos = [item.info for item in self._items if item.info is not None]
        return {info.episode_id for info in infos if info.state is not EpisodeState.OPEN}

    @property
    def held_mb(self) -> float:
        """Memory that the frames of waiting decisions take, MB."""
        return self._held_bytes / 1e6

    def put_decision(
        self, decision: Decision, now_ns: int, references: References | None
    ) -> None:
        """Take a decision in, with its frames if they are there.

        :param references: what is set now; a slow model may open the episode much later.
        """
        item = Item(now_ns, decision=decision, references=references)
        self._items.append(item)
        pair = self._find(decision.frames_key)
        if pair is None:
            self._awaited.setdefault(decision.frames_key, []).append(item)
        else:
            self._hold(item, pair)

    def put_episode(
        self, info: EpisodeInfo, now_ns: int, references: References | None
    ) -> None:
        """Take a state of the episode's authority in."""
        self._items.append(Item(now_ns, info=info, references=references))

    def put_pair(self, pair: FramePair) -> None:
        """Give a new pair to the decisions that wait for it; ``find`` must find it already."""
        for item in self._awaited.pop(pair.key, ()):
            self._hold(item, pair)

    def take(self, now_ns: int, batched: Callable[[str], bool]) -> list[Item]:
        """Take what is ready: one item, or several decisions for a model that answers batches.

        A close lets its episode's late decisions pass.

        :param batched: whether an episode's decisions may be answered in one go.
        """
        if not self._items:
            return []
        head = self._items[0]
        if head.closes:
            head = next((i for i in self._items if _of_episode(i, head.info)), head)
        if not self._ready(head, now_ns):
            return []
        items = [head]
        if head is self._items[0] and head.decision and batched(head.decision.episode_id):
            items += self._companions(head)
        for item in items:
            self._let_go(item)
        return items

    def _hold(self, item: Item, pair: FramePair) -> None:
        """Keep the frames of a waiting decision, if there is room."""
        size = _size(pair)
        if self._held_bytes + size <= self._config.held_mb * 1e6:
            item.pair = pair
            self._held_bytes += size
            return
        self.refused_frames += 1
        item.refused = (
            "expected room for the frames of decisions that wait for the model, got "
            f"{self._config.held_mb:g} MB full; relabel the episode from its recording, or raise label.held_mb"
        )

    def _companions(self, head: Item) -> Iterator[Item]:
        """Decisions right behind the first one, of its episode and with frames like it."""
        assert head.decision is not None
        name = head.decision.episode_id
        behind = list(itertools.islice(self._items, 1, self._config.batch))
        yield from itertools.takewhile(
            lambda item: head.pair and item.pair and item.decision and item.decision.episode_id == name,
            behind,
        )

    def _let_go(self, item: Item) -> None:
        """Take an item out: its memory is free, and nobody waits for its frames any more."""
        self._items.remove(item)
        if item.pair is not None:
            self._held_bytes -= _size(item.pair)
        if item.decision is None:
            return
        waiting = [other for other in self._awaited.pop(item.decision.frames_key, ()) if other is not item]
        if waiting:
            self._awaited[item.decision.frames_key] = waiting

    def _ready(self, item: Item, now_ns: int) -> bool:
        waited_s = (now_ns - item.arrived_ns) / 1e9
        if item.decision is not None:
            there = item.pair is not None or bool(item.refused)
            return there or waited_s >= self._config.frame_deadline_s
        return not item.closes or waited_s >= self._config.close_grace_s


def _of_episode(item: Item, info: EpisodeInfo | None) -> bool:
    return bool(info and item.decision and item.decision.episode_id == info.episode_id)


def _size(pair: FramePair) -> int:
    return len(pair.front.data) + len(pair.wrist.data)
