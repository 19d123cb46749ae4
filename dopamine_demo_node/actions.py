"""Goals of the four long jobs come in; feedback, results and their codes go out.

An executor thread stays parked in each running goal: rclpy's executor would spin without rest on
an awaiting coroutine. Jobs that move the arm exclude each other.
"""

from __future__ import annotations

import functools
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from dopamine_msgs.action import Adapt, Practice, Record, Reset
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from dopamine_core.errors import DopamineError, EpisodeError
from dopamine_core.types import EpisodeKind, Outcome
from dopamine_demo_node.adapting import Adapting, AdaptRequest
from dopamine_demo_node.authority import Authority, closed
from dopamine_demo_node.desk import Desk
from dopamine_demo_node.practising import PracticeRequest, Practising
from dopamine_demo_node.recording import Finished, Recording
from dopamine_demo_node.resetting import ResetRequest, Resetter
from dopamine_demo_node.swapping import Swapper
from dopamine_demo_node.waiting import Cancelled, Waiting
from dopamine_ros import names

_FEEDBACK_S = 0.2
_NAN = float("nan")
_NO_FIGURES = {"rmse_before": _NAN, "rmse_after": _NAN, "success_threshold": _NAN}
_FINISH_S = 60.0
_RECORD_CODES = {
    Outcome.SUCCESS: Record.Result.OK,
    Outcome.DISCARDED: Record.Result.DISCARDED,
    Outcome.FAILURE: Record.Result.DISCARDED,
    Outcome.TIME_LIMIT: Record.Result.TIME_LIMIT,
}


class Throttle:
    """Lets feedback through a few times a second, and whenever its phase changes."""

    def __init__(self, publish: Callable[[Any], None]) -> None:
        self._publish = publish
        self._last_s = 0.0
        self._phase = ""

    def __call__(self, feedback: Any, phase: str = "") -> None:
        """Publish, or not."""
        now_s = time.monotonic()
        if phase != self._phase or now_s - self._last_s >= _FEEDBACK_S:
            self._last_s, self._phase = now_s, phase
            self._publish(feedback)


class Actions:
    """Action servers of the demo node."""

    def __init__(
        self,
        node: Node,
        *,
        now_ns: Callable[[], int],
        authority: Authority,
        desk: Desk,
        recording: Recording,
        resetter: Resetter,
        practising: Practising,
        adapting: Adapting,
        swapper: Swapper,
    ) -> None:
        self._log = node.get_logger()
        self._now_ns = now_ns
        self._authority = authority
        self._desk = desk
        self._recording = recording
        self._resetter = resetter
        self._practising = practising
        self._adapting = adapting
        self._swapper = swapper
        self._moving = threading.Lock()
        self._learning = threading.Lock()
        group = ReentrantCallbackGroup()
        refusals = {
            Record: Record.Result.REFUSED,
            Reset: Reset.Result.REFUSED,
            Practice: Practice.Result.FAILED,
            Adapt: Adapt.Result.FAILED,
        }
        for kind, name, lock, run in (
            (Record, names.RECORD, self._moving, self._record),
            (Reset, names.RESET, self._moving, self._reset),
            (Practice, names.PRACTICE, self._moving, self._practise),
            (Adapt, names.ADAPT, self._learning, self._adapt),
        ):
            figures = _NO_FIGURES if kind is Adapt else {}
            failed = functools.partial(kind.Result, code=refusals[kind], **figures)
            ActionServer(
                node,
                kind,
                name,
                functools.partial(self._execute, lock, run, failed),
                callback_group=group,
                goal_callback=lambda _: GoalResponse.ACCEPT,
                cancel_callback=lambda _: CancelResponse.ACCEPT,
            )

    def _execute(
        self,
        lock: threading.Lock,
        run: Callable[[Any], Any],
        failed: Callable[..., Any],
        handle: Any,
    ) -> Any:
        """Run one job; a refusal, a named error and a defect all become a result with a code."""
        if not lock.acquire(blocking=False):
            text = "another job is running: wait for it or cancel it"
            return _ended(handle, failed(message=text), ok=False)
        try:
            return run(handle)
        except DopamineError as error:
            return _ended(handle, failed(message=str(error)), ok=False)
        except Exception as error:
            # rclpy would send an empty result, whose code 0 means OK.
            self._log.error("".join(traceback.format_exception(error)))
            text = f"{type(error).__name__}: {error}; see the node's log"
            return _ended(handle, failed(message=text), ok=False)
        finally:
            lock.release()

    def _record(self, handle: Any) -> Record.Result:
        goal = handle.request
        try:
            info = self._desk.open(EpisodeKind.DEMONSTRATION, goal.task, goal.time_limit_s)
        except DopamineError as error:
            refused = isinstance(error, EpisodeError)
            code = Record.Result.REFUSED if refused else Record.Result.FAILED
            return _ended(handle, Record.Result(code=code, message=str(error)), ok=False)
        waiting = self._waiting(handle)
        say = Throttle(handle.publish_feedback)
        name = info.episode_id

        def over() -> bool:
            if not closed(self._authority.info, name):
                say(self._record_feedback(name))
            return self._recording.result(name) is not None

        while True:
            try:
                if waiting.until(over, 3600.0):
                    break
            except Cancelled:
                self._discard(name)
                waiting = Waiting(self._now_ns)  # the recording still ends in order
        return _record_result(handle, self._recording.result(name))

    def _record_feedback(self, episode_id: str) -> Record.Feedback:
        feedback = Record.Feedback()
        tape = self._recording.tape(episode_id)
        if tape is not None:
            feedback.elapsed_s = (self._now_ns() - tape.info.start_ns) / 1e9
            feedback.decisions = len(tape.decisions)
            feedback.keyframes = len(tape.marks)
            feedback.bytes_written = float(tape.bytes_written)
        return feedback

    def _discard(self, episode_id: str) -> None:
        if not closed(self._authority.info, episode_id):
            self._authority.discard()

    def _reset(self, handle: Any) -> Reset.Result:
        if self._authority.is_open:
            text = f"episode {self._authority.info.episode_id!r} is open: close it first"
            result = Reset.Result(code=Reset.Result.REFUSED, message=text)
            return _ended(handle, result, ok=False)
        goal, say = handle.request, Throttle(handle.publish_feedback)

        def feedback(phase: str, error_rad: float) -> None:
            say(Reset.Feedback(phase=phase, joint_error_rad=error_rad), phase)

        request = ResetRequest(goal.scene, goal.task, goal.seed, goal.shift)
        try:
            outcome = self._resetter.run(request, self._waiting(handle), feedback)
        except Cancelled:
            handle.canceled()
            return Reset.Result(code=Reset.Result.REFUSED, message="cancelled")
        result = Reset.Result(
            code=outcome.code, message=outcome.message, joint_error_rad=outcome.joint_error_rad
        )
        return _ended(handle, result, ok=outcome.ok)

    def _practise(self, handle: Any) -> Practice.Result:
        goal, say = handle.request, Throttle(handle.publish_feedback)

        def feedback(episodes: int, successes: int, phase: str) -> None:
            message = Practice.Feedback(episodes=episodes, successes=successes, phase=phase)
            say(message, phase)

        request = PracticeRequest(
            task=goal.task,
            episodes=goal.episodes,
            kind=_practice_kind(goal.kind),
            time_limit_s=goal.time_limit_s,
            shift=goal.shift,
            seed=goal.seed,
        )
        tally = self._practising.run(request, self._waiting(handle), feedback)
        result = Practice.Result(
            code=tally.code,
            message=tally.message,
            episodes=tally.episodes,
            successes=tally.successes,
        )
        return _ended(handle, result, ok=tally.code == Practice.Result.OK)

    def _adapt(self, handle: Any) -> Adapt.Result:
        goal, say = handle.request, Throttle(handle.publish_feedback)

        def feedback(progress: dict[str, Any]) -> None:
            say(_adapt_feedback(**progress), progress.get("phase", ""))

        request = AdaptRequest(
            goal.bag_path, tuple(goal.held_out_bag_paths), goal.time_budget_s, goal.seed
        )
        try:
            made = self._adapting.run(request, self._waiting(handle), feedback)
            say(_adapt_feedback(phase="swap", fraction=1.0), "swap")
            model = self._swapper.load(made["model_path"])
        except Cancelled:
            handle.canceled()
            return Adapt.Result(code=Adapt.Result.CANCELLED, message="cancelled", **_NO_FIGURES)
        except DopamineError as error:
            unusable = getattr(error, "kind", "") in ("DemonstrationError", "RecordingError")
            code = Adapt.Result.UNUSABLE_DEMONSTRATION if unusable else Adapt.Result.FAILED
            result = Adapt.Result(code=code, message=str(error), **_NO_FIGURES)
            return _ended(handle, result, ok=False)
        result = Adapt.Result(code=Adapt.Result.OK, model=model, **made)
        return _ended(handle, result, ok=True)

    def _waiting(self, handle: Any) -> Waiting:
        return Waiting(self._now_ns, lambda: handle.is_cancel_requested)


def _record_result(handle: Any, finished: Finished | None) -> Record.Result:
    """Say how a recording ended."""
    result = Record.Result(code=Record.Result.FAILED)
    if finished is None:
        return _ended(handle, result, ok=False)
    info = finished.info
    result.episode_id = info.episode_id
    result.decisions = finished.decisions
    result.bag_path = str(finished.path or "")
    result.message = finished.text or info.text
    if finished.path is not None:
        result.code = _RECORD_CODES.get(info.outcome, Record.Result.FAILED)
    return _ended(handle, result, ok=result.code == Record.Result.OK)


def _adapt_feedback(**known: Any) -> Adapt.Feedback:
    """What is not known yet is not zero."""
    return Adapt.Feedback(**{"loss": _NAN, "held_out_error": _NAN, **known})


def _practice_kind(code: int) -> EpisodeKind:
    if code not in (EpisodeKind.ROLLOUT, EpisodeKind.EVALUATION):
        raise EpisodeError(
            expected="practice of kind rollout or evaluation",
            got=str(code),
            remedy="use the action record for demonstrations",
        )
    return EpisodeKind(code)


def _ended(handle: Any, result: Any, *, ok: bool) -> Any:
    """Set the goal's state, then hand its result back."""
    if handle.is_cancel_requested:
        handle.canceled()
    elif ok:
        handle.succeed()
    else:
        handle.abort()
    return result
