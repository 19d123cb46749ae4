"""A number of episodes comes in; resets, openings and their outcomes happen, a tally goes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dopamine_msgs.action import Practice

from dopamine_core.errors import DopamineError, GraphError
from dopamine_core.types import EpisodeInfo, EpisodeKind, Outcome, OutcomeSource
from dopamine_demo_node.authority import Authority, closed
from dopamine_demo_node.desk import Desk
from dopamine_demo_node.recording import Recording
from dopamine_demo_node.resetting import ResetRequest, Resetter
from dopamine_demo_node.senses import Senses
from dopamine_demo_node.settings import DemoNodeConfig
from dopamine_demo_node.waiting import Cancelled, Waiting

_SWAP_S = 60.0
_FINISH_S = 60.0
Feedback = Callable[[int, int, str], None]


@dataclass(frozen=True)
class PracticeRequest:
    """What is asked for."""

    task: str
    episodes: int
    kind: EpisodeKind = EpisodeKind.ROLLOUT
    time_limit_s: float = 0.0  # 0: the configured one
    shift: bool = False
    seed: int = -1


@dataclass
class PracticeTally:
    """What came of it; codes of ``Practice.Result``."""

    code: int = Practice.Result.OK
    message: str = ""
    episodes: int = 0
    successes: int = 0


class Practising:
    """Reset, open, wait for the end, again."""

    def __init__(
        self,
        *,
        config: DemoNodeConfig,
        authority: Authority,
        desk: Desk,
        recording: Recording,
        resetter: Resetter,
        senses: Senses,
    ) -> None:
        self._config = config
        self._authority = authority
        self._desk = desk
        self._recording = recording
        self._resetter = resetter
        self._senses = senses
        self._last_id = ""

    def run(self, request: PracticeRequest, waiting: Waiting, feedback: Feedback) -> PracticeTally:
        """Practise in the caller's thread; every end has a code and a sentence."""
        tally = PracticeTally()
        self._last_id = ""

        def say(phase: str) -> None:
            feedback(tally.episodes, tally.successes, phase)

        try:
            for number in range(request.episodes):
                self._prepare(request, number, waiting, say)
                info = self._episode(request, waiting, say)
                tally.episodes += 1
                tally.successes += info.outcome is Outcome.SUCCESS
                say("closed")
                if info.outcome is Outcome.STOP:
                    return _end(tally, Practice.Result.STOPPED, info.text)
            say("saving")
            self._await_recording(waiting)
        except Cancelled:
            return _end(tally, Practice.Result.CANCELLED, "cancelled")
        except DopamineError as error:
            return _end(tally, Practice.Result.FAILED, str(error))
        return _end(tally, Practice.Result.OK, f"{tally.successes} of {tally.episodes} succeeded")

    def _prepare(
        self,
        request: PracticeRequest,
        number: int,
        waiting: Waiting,
        say: Callable[[str], None],
    ) -> None:
        """Reset, then wait for sensors, policy and the end of a swap.

        :raises GraphError: when one of them does not come.
        """
        say("reset")
        seed = request.seed + number if request.seed >= 0 else -1
        reset = ResetRequest(scene=True, seed=seed, shift=request.shift)
        outcome = self._resetter.run(reset, waiting, lambda phase, _: say(f"reset: {phase}"))
        if not outcome.ok:
            raise GraphError(
                expected="the arm at home and a fresh scene",
                got=outcome.message,
                remedy="clear the way, then practise again",
            )
        say("waiting")
        waits = (
            (self._sensing, self._config.sensor_wait_s, "cameras and joint states"),
            (self._has_policy, self._config.policy_wait_s, "a policy from the learner"),
            (lambda: not self._authority.swapping, _SWAP_S, "the end of a model swap"),
        )
        for ready, timeout_s, what in waits:
            if not waiting.until(ready, timeout_s):
                raise GraphError(
                    expected=what, got=f"nothing for {timeout_s:g} s", remedy="is its node running?"
                )

    def _episode(
        self, request: PracticeRequest, waiting: Waiting, say: Callable[[str], None]
    ) -> EpisodeInfo:
        """Open one episode and wait for its end."""
        limit_s = request.time_limit_s or self._config.time_limit_s
        episode_id = self._desk.open(request.kind, request.task, limit_s).episode_id
        say("episode")
        try:
            over = waiting.until(lambda: self._over(episode_id), limit_s + _FINISH_S)
        except Cancelled:
            self._close(episode_id, "practice was cancelled")
            raise
        if not over:
            self._close(episode_id, "the time limit did not end it")
        self._last_id = episode_id
        return self._authority.info

    def _await_recording(self, waiting: Waiting) -> None:
        """Wait until the last recording is whole; the others ended during the resets."""
        name = self._last_id
        if name:
            waiting.until(lambda: self._recording.result(name) is not None, _FINISH_S)

    def _close(self, episode_id: str, text: str) -> None:
        if not self._over(episode_id):
            self._authority.close(
                Outcome.STOP, OutcomeSource.OPERATOR, episode_id=episode_id, text=text
            )

    def _over(self, episode_id: str) -> bool:
        return closed(self._authority.info, episode_id)

    def _sensing(self) -> bool:
        return all(self._senses.age_s(name) < 1.0 for name in ("cameras", "joint states"))

    def _has_policy(self) -> bool:
        return self._senses.policy_version > 0


def _end(tally: PracticeTally, code: int, message: str) -> PracticeTally:
    tally.code, tally.message = code, message
    return tally
