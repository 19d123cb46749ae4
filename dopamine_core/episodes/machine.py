"""The episode state machine: requests and events come in, the episode's state goes out; refused
ones raise.

Success and an operator's failure terminate. Time limit, stop, safety abort, camera loss and discard
truncate. A human takeover does neither. A demonstration that the operator keeps ends in success.
"""

from __future__ import annotations

import dataclasses

from dopamine_core.errors import EpisodeError
from dopamine_core.types import EpisodeInfo, EpisodeKind, EpisodeState, Outcome, OutcomeSource

_ALLOWED_SOURCES = {
    Outcome.SUCCESS: (OutcomeSource.REWARD_NODE, OutcomeSource.OPERATOR),
    Outcome.FAILURE: (OutcomeSource.OPERATOR,),
    Outcome.TIME_LIMIT: (OutcomeSource.TIMER,),
    Outcome.STOP: (OutcomeSource.OPERATOR, OutcomeSource.SAFETY),
    Outcome.SAFETY_ABORT: (OutcomeSource.SAFETY,),
    Outcome.CAMERA_LOSS: (OutcomeSource.SAFETY,),
    Outcome.DISCARDED: (OutcomeSource.OPERATOR,),
}


class EpisodeMachine:
    """One episode at a time; every method returns the new state or raises ``EpisodeError`` and
    changes nothing.

    Not thread-safe: the caller holds a lock.
    """

    def __init__(self) -> None:
        self._info = EpisodeInfo(
            "", EpisodeState.IDLE, EpisodeKind.NONE, "", stamp_ns=0, start_ns=0
        )
        self._time_limit_ns = 0

    @property
    def info(self) -> EpisodeInfo:
        """The present episode, or the last one."""
        return self._info

    @property
    def is_open(self) -> bool:
        """Whether an episode is open."""
        return self._info.state is EpisodeState.OPEN

    def open(
        self,
        *,
        episode_id: str,
        kind: EpisodeKind,
        task: str,
        now_ns: int,
        time_limit_ns: int = 0,
        bag_path: str = "",
    ) -> EpisodeInfo:
        """Open an episode.

        :param episode_id: new and not empty.
        :param time_limit_ns: 0 for none.
        :raises EpisodeError: when one is open, or kind, task or id are missing.
        """
        self._refuse(
            self.is_open, "no open episode", f"{self._info.episode_id!r} open", "close it first"
        )
        self._refuse(
            kind is EpisodeKind.NONE,
            "a kind of episode",
            kind.name,
            "name demonstration, rollout or evaluation",
        )
        self._refuse(not task.strip(), "a task", "an empty one", "name the task in one sentence")
        fresh = bool(episode_id) and episode_id != self._info.episode_id
        self._refuse(not fresh, "a new episode id", repr(episode_id), "give each episode its own")
        self._refuse(
            time_limit_ns < 0, "a time limit >= 0", f"{time_limit_ns} ns", "use 0 for none"
        )
        self._time_limit_ns = time_limit_ns
        self._info = EpisodeInfo(
            episode_id,
            EpisodeState.OPEN,
            kind,
            task,
            stamp_ns=now_ns,
            start_ns=now_ns,
            bag_path=bag_path,
        )
        return self._info

    def close(
        self,
        outcome: Outcome,
        source: OutcomeSource,
        now_ns: int,
        *,
        episode_id: str = "",
        success_ns: int = 0,
        text: str = "",
    ) -> EpisodeInfo:
        """Close the open episode.

        :param episode_id: the episode meant; empty for the open one.
        :param success_ns: decision stamp at which success was seen, 0 for now; later decisions are
            dropped.
        :param text: reason in words.
        :raises EpisodeError: when nothing (or another episode) is open, or the source may not say
            this outcome.
        """
        self._require_open(episode_id)
        self._require_source(outcome, source)
        success = outcome is Outcome.SUCCESS
        seen_ns = (success_ns or now_ns) if success else 0
        outside = success and not self._info.start_ns <= seen_ns <= now_ns
        self._refuse(
            outside, "a success stamp inside the episode", str(seen_ns), "send the decision stamp"
        )
        self._info = dataclasses.replace(
            self._info,
            state=EpisodeState.CLOSED,
            stamp_ns=now_ns,
            end_ns=now_ns,
            outcome=outcome,
            outcome_source=source,
            success_ns=seen_ns,
            kept=success and self._info.kind is EpisodeKind.DEMONSTRATION,
            text=text,
        )
        return self._info

    def keep(self, now_ns: int) -> EpisodeInfo:
        """Keep the open demonstration: it ends in success now."""
        self._require_demonstration("keep")
        return self.close(
            Outcome.SUCCESS, OutcomeSource.OPERATOR, now_ns, text="kept by the operator"
        )

    def discard(self, now_ns: int) -> EpisodeInfo:
        """Discard the open demonstration."""
        self._require_demonstration("discard")
        return self.close(
            Outcome.DISCARDED, OutcomeSource.OPERATOR, now_ns, text="discarded by the operator"
        )

    def takeover(self) -> EpisodeInfo:
        """Count a human takeover; the episode goes on."""
        self._require_open("")
        self._info = dataclasses.replace(self._info, takeovers=self._info.takeovers + 1)
        return self._info

    def overdue(self, now_ns: int) -> bool:
        """Whether the open episode has reached its time limit."""
        return self.is_open and 0 < self._time_limit_ns <= now_ns - self._info.start_ns

    def label(
        self, outcome: Outcome, now_ns: int, *, episode_id: str = "", text: str = ""
    ) -> EpisodeInfo:
        """Correct the outcome of the episode closed last; the operator becomes its source.

        A success that was not seen before counts from the end of the episode.

        :param outcome: success or failure.
        :raises EpisodeError: while an episode is open, or when the episode is not the last one or
            was discarded.
        """
        info = self._info
        self._refuse(
            info.state is not EpisodeState.CLOSED,
            "a closed episode",
            info.state.name,
            "label after the close",
        )
        other = episode_id not in ("", info.episode_id)
        self._refuse(
            other,
            f"the last episode {info.episode_id!r}",
            repr(episode_id),
            "label before the next opens",
        )
        self._refuse(
            not outcome.terminates, "success or failure", outcome.name, "choose one of them"
        )
        discarded = info.outcome is Outcome.DISCARDED
        self._refuse(
            discarded, "an episode that was not discarded", info.episode_id, "record it again"
        )
        self._info = relabelled(info, outcome, now_ns, text)
        return self._info

    def _require_open(self, episode_id: str) -> None:
        self._refuse(not self.is_open, "an open episode", self._info.state.name, "open one first")
        other = episode_id not in ("", self._info.episode_id)
        self._refuse(
            other,
            f"the open episode {self._info.episode_id!r}",
            repr(episode_id),
            "name the open one",
        )

    def _require_demonstration(self, verb: str) -> None:
        self._require_open("")
        kind = self._info.kind
        wrong = kind is not EpisodeKind.DEMONSTRATION
        self._refuse(
            wrong, f"an open demonstration to {verb}", kind.name, "use close or label for rollouts"
        )

    def _require_source(self, outcome: Outcome, source: OutcomeSource) -> None:
        allowed = _ALLOWED_SOURCES.get(outcome, ())
        names = ", ".join(item.name for item in allowed) or "a known outcome"
        self._refuse(
            source not in allowed,
            f"{outcome.name} from {names}",
            source.name,
            "only these may say so",
        )
        judged = (
            self._info.kind is EpisodeKind.DEMONSTRATION and source is OutcomeSource.REWARD_NODE
        )
        self._refuse(
            judged, "the operator to end a demonstration", source.name, "keep or discard it"
        )

    @staticmethod
    def _refuse(wrong: bool, expected: str, got: str, remedy: str) -> None:
        if wrong:
            raise EpisodeError(expected=expected, got=got, remedy=remedy)


def relabelled(info: EpisodeInfo, outcome: Outcome, now_ns: int, text: str = "") -> EpisodeInfo:
    """Give a closed episode the outcome that an operator says, and keep the former one in words."""
    success = outcome is Outcome.SUCCESS
    before = f"{info.outcome.name} by {info.outcome_source.name}"
    return dataclasses.replace(
        info,
        stamp_ns=now_ns,
        outcome=outcome,
        outcome_source=OutcomeSource.OPERATOR,
        success_ns=(info.success_ns or info.end_ns) if success else 0,
        kept=success and info.kind is EpisodeKind.DEMONSTRATION,
        text=f"corrected by the operator, before: {before}" + (f"; {text}" if text else ""),
    )
