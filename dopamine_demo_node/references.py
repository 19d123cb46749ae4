"""Kept demonstrations come in, the reward node's task, start and goal images go out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from dopamine_core.episodes.catalogue import kept_demonstrations
from dopamine_core.episodes.dataset import load_demonstration
from dopamine_core.errors import DopamineError, GraphError
from dopamine_core.reward.session import References
from dopamine_core.types import FramePair
from dopamine_demo_node.asking import Asking
from dopamine_ros import names
from dopamine_ros.convert.images import references_to_request

_ANSWER_S = 10.0
_START_S = 60.0


class ReferenceKeeper:
    """Remembers start and goals of the present task and gives them to the reward node.

    The first demonstration of a task gives start and goal, siblings add goals.

    :param max_goals: goals given at most; the oldest stay.
    :param say: called with a sentence when something was set or went wrong.
    """

    def __init__(self, asking: Asking, max_goals: int, say: Callable[[bool, str], None]) -> None:
        self._asking = asking
        self._max_goals = max_goals
        self._say = say
        self._lock = threading.Lock()
        self._task = ""
        self._start: FramePair | None = None
        self._goals: list[FramePair] = []
        self._learned: set[str] = set()  # episodes; a corrected recording is told twice

    @property
    def references(self) -> References | None:
        """What the reward node was given; None before the first kept demonstration."""
        with self._lock:
            if not self._goals:
                return None
            return References(self._task, tuple(self._goals), self._start)

    def learn(self, bag: Path) -> None:
        """Take a kept demonstration and tell the reward node; problems are said, never raised."""
        try:
            demonstration = load_demonstration(bag)
        except DopamineError as error:
            self._say(False, f"{bag.name} gives no goal: {error}")
            return
        with self._lock:
            if demonstration.task != self._task:
                self._task, self._start, self._goals = demonstration.task, None, []
                self._learned.clear()
            if demonstration.episode_id in self._learned or len(self._goals) >= self._max_goals:
                return
            self._learned.add(demonstration.episode_id)
            self._start = self._start or demonstration.pairs[0]
            self._goals.append(demonstration.pairs[-1])
        try:
            self.tell()
        except GraphError as error:
            self._say(False, f"the reward node does not know its task: {error}")

    def restore(self, folder: Path) -> None:
        """Take the task of the newest kept demonstration in a folder, after a restart.

        Waits in a thread of its own for the reward node.
        """
        kept = kept_demonstrations(folder)
        siblings = [entry.path for entry in kept if entry.task == kept[-1].task]
        if not siblings:
            return

        def restore() -> None:
            self._asking.there(names.SET_TASK, _START_S)
            for path in siblings[: self._max_goals]:
                self.learn(path)

        threading.Thread(target=restore, name="restore task", daemon=True).start()

    def tell(self) -> None:
        """Give task, start and goals to the reward node; nothing when there are none.

        :raises GraphError: when it does not answer or refuses.
        """
        references = self.references
        if references is None:
            return
        request = references_to_request(references)
        response = self._asking.call(names.SET_TASK, request, _ANSWER_S)
        if not response.success:
            raise GraphError(
                expected=f"the reward node to take the task {references.task!r}",
                got=response.message,
                remedy="look at the demonstration's start and goal images",
            )
        self._say(True, response.message)
