"""A running graph in, the demo's chain of actions out: demonstrate, adapt, train, practise; every part timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dopamine_msgs.action import Adapt, Practice, Record, Reset, Train
from dopamine_msgs.msg import Episode

from dopamine_cli.client import Client
from dopamine_cli.demo_plan import Budget, episode_guess_s, next_batch
from dopamine_cli.demo_settings import DemoSettings
from dopamine_cli.output import Output
from dopamine_cli.watcher import Watcher
from dopamine_core.errors import DemonstrationError, GraphError
from dopamine_core.evaluation.report_summary import START_PART
from dopamine_core.evaluation.run_log import RunLog
from dopamine_ros import names
from dopamine_ros.convert.plain import to_plain

START_S = (
    180.0  # until every server answers and frames flow; torch takes its time on a busy machine
)
RESET_S = 60.0
SLACK_S = 30.0  # beyond an action's own limit
ADAPT_SLACK_S = 90.0  # the demo node itself gives up after 60
TRAIN_S = 900.0
ATTEMPTS = 3
ACTIONS = (
    (Record, names.RECORD),
    (Reset, names.RESET),
    (Adapt, names.ADAPT),
    (Practice, names.PRACTICE),
)
KINDS = {"rollout": Episode.KIND_ROLLOUT, "evaluation": Episode.KIND_EVALUATION}


class DemoRun:
    """The order of things; what they do lives in the nodes.

    :param client: speaks to the graph.
    :param watcher: hears the graph.
    :param log: where results of actions and times of parts go.
    :param output: where words go.
    """

    def __init__(
        self,
        *,
        client: Client,
        watcher: Watcher,
        log: RunLog,
        output: Output,
        settings: DemoSettings,
    ) -> None:
        self._client, self._watcher, self._log, self._output = client, watcher, log, output
        self._settings = settings
        self._budget = Budget(settings.minutes * 60.0)
        self._demonstrations: list[str] = []  # bag paths
        self._fruitless = 0  # batches in a row without a finished episode
        self._scene = settings.seed * 10_000  # every scene of the run has a seed of its own
        self._episode_s = episode_guess_s(settings.episode_s, settings.speed)

    def run(self) -> None:
        """Do everything once.

        :raises DopamineError: what stopped it.
        """
        settings = self._settings
        with self.part(START_PART):
            self._connect()
        with self.part("demonstration 1"):
            self._demonstrate(1)
        with self.part("adapt"):
            self._adapt()
        if settings.demonstrations > 1:
            with self.part("demonstrations"):
                self._demonstrate(settings.demonstrations)
        with self.part("train offline"):
            self._train()
        if settings.evaluations_before:
            with self.part("evaluate before"):
                self._practise("evaluation", settings.evaluations_before)
        with self.part("practise"):
            self._practise("rollout", settings.rollouts or None)
        if settings.evaluations_after:
            with self.part("evaluate after"):
                self._practise("evaluation", settings.evaluations_after)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a part of the run and write it down, also when it fails."""
        start_s, ok, text = self._watcher.elapsed_s(), False, ""
        self._output.event("stage", name, stage=name, elapsed_s=round(start_s, 2))
        try:
            yield
            ok = True
        except BaseException as error:
            text = type(error).__name__ if isinstance(error, KeyboardInterrupt) else str(error)
            raise
        finally:
            end_s = self._watcher.elapsed_s()
            record = {"name": name, "start_s": start_s, "end_s": end_s, "ok": ok, "text": text}
            self._log.write("part", end_s, record)
            seconds = round(end_s - start_s, 2)
            self._output.event(
                "stage_end", f"{name}: {seconds:.1f} s", stage=name, seconds=seconds, ok=ok
            )

    def _connect(self) -> None:
        for kind, name in ACTIONS:
            self._client.wait_for_action(kind, name, START_S)
        self._client.wait_for_action(Train, names.TRAIN, START_S)
        state = self._watcher.state
        self._client.wait_until(
            lambda: state.frames_heard > 0,
            START_S,
            f"messages on '{names.PROGRESS}'",
            "the reward node hears no cameras: see its log",
        )

    def _demonstrate(self, until: int) -> None:
        """Record until so many demonstrations are kept; the operator discards what failed."""
        attempts = 2 * self._settings.demonstrations + 2
        with self._output.bar("demonstrations") as advance:
            while len(self._demonstrations) < until and attempts:
                attempts -= 1
                advance(
                    len(self._demonstrations) / until,
                    f"{len(self._demonstrations)} of {until} kept",
                )
                self._reset(shift=False)
                result = self._record()
                if result.code == Record.Result.OK:
                    self._demonstrations.append(result.bag_path)
                self._output.event("demonstration", self._describe(result), **to_plain(result))
        if len(self._demonstrations) < until:
            raise DemonstrationError(
                expected=f"{until} demonstrations that the operator keeps",
                got=f"{len(self._demonstrations)}",
                remedy="see the operator's and the demo node's log",
            )

    def _record(self) -> Any:
        limit_s = self._settings.demonstration_s
        goal = Record.Goal(task=self._settings.task, time_limit_s=float(limit_s))
        with self._output.bar("recording") as advance:
            return self._client.run_action(
                Record,
                names.RECORD,
                goal,
                timeout_s=limit_s / self._settings.speed + SLACK_S,
                on_feedback=lambda f: advance(
                    min(1.0, f.elapsed_s / limit_s),
                    f"{f.decisions} decisions, {f.keyframes} keyframes",
                ),
            )

    def _reset(self, *, shift: bool) -> None:
        """Bring the arm home and restore the scene; a busy machine may need a second try."""
        self._scene += 1
        goal = Reset.Goal(scene=True, task=self._settings.task, seed=self._scene, shift=shift)
        for _ in range(ATTEMPTS):
            result = self._client.run_action(Reset, names.RESET, goal, timeout_s=RESET_S)
            if result.code == Reset.Result.OK:
                return
            self._output.event(
                "reset_failed", f"reset: {result.message}; again", **to_plain(result)
            )
        raise GraphError(
            expected="the arm at home", got=result.message, remedy="see the demo node's log"
        )

    def _adapt(self) -> None:
        settings = self._settings
        goal = Adapt.Goal(
            bag_path=self._demonstrations[0],
            time_budget_s=float(settings.adapt_s),
            seed=settings.seed,
        )
        with self._output.bar("adapting") as advance:
            result = self._client.run_action(
                Adapt,
                names.ADAPT,
                goal,
                timeout_s=settings.adapt_s + ADAPT_SLACK_S,
                on_feedback=lambda f: advance(f.fraction, f.phase),
            )
        self._note("adapt", result, ok=result.code == Adapt.Result.OK, held_out=False)
        self._expect(result, Adapt.Result.OK, "the reward model adapted to the first demonstration")
        self._log.update_header(
            adapted_model=result.model.sha256, success_threshold=result.success_threshold
        )

    def _train(self) -> None:
        goal = Train.Goal(
            bag_paths=self._demonstrations,
            gradient_steps=self._settings.offline_steps,
            then_online=True,
        )
        with self._output.bar("training offline") as advance:
            result = self._client.run_action(
                Train,
                names.TRAIN,
                goal,
                timeout_s=TRAIN_S,
                on_feedback=lambda f: advance(
                    f.fraction, f"{f.gradient_steps} steps, critic loss {f.critic_loss:.3f}"
                ),
            )
        self._note("train", result, ok=result.code == Train.Result.OK)
        self._expect(result, Train.Result.OK, "offline training to finish")

    def _practise(self, kind: str, wanted: int | None) -> None:
        """Run rollouts or evaluations in batches while there is time; the shift is on."""
        done = 0
        with self._output.bar("practice" if kind == "rollout" else "evaluation") as advance:
            while batch := next_batch(
                left_s=self._practice_left_s(kind),
                episode_s=self._episode_s,
                wanted=None if wanted is None else wanted - done,
            ):
                start_s = self._watcher.elapsed_s()
                finished = self._run_batch(kind, batch, self._show(advance, done, wanted, start_s))
                done += finished
                if finished:
                    self._episode_s = (self._watcher.elapsed_s() - start_s) / finished
        if wanted is not None and done < wanted:
            self._output.event(
                "short_of_time", f"only {done} of {wanted} {kind}s fit into the time", done=done
            )

    def _show(
        self, advance: Callable[[float, str], None], done: int, wanted: int | None, start_s: float
    ) -> Callable[[Any], None]:
        total_s = self._practice_left_s("rollout") + start_s

        def show(feedback: Any) -> None:
            count = done + feedback.episodes
            fraction = count / wanted if wanted else self._watcher.elapsed_s() / total_s
            advance(min(1.0, fraction), f"{count} done, {feedback.phase}")

        return show

    def _run_batch(self, kind: str, episodes: int, show: Callable[[Any], None]) -> int:
        """Run some rollouts; returns how many were finished.

        :raises GraphError: when batch after batch ends without one.
        """
        settings = self._settings
        goal = Practice.Goal(
            task=settings.task,
            episodes=episodes,
            kind=KINDS[kind],
            time_limit_s=float(settings.episode_s),
            shift=True,
            seed=self._scene + 1,
        )
        self._scene += episodes
        limit_s = episodes * (settings.episode_s + RESET_S) / settings.speed + SLACK_S
        result = self._client.run_action(
            Practice, names.PRACTICE, goal, timeout_s=limit_s, on_feedback=show
        )
        words = f"{result.successes} of {result.episodes} {kind}s succeeded"
        self._output.event("practised", words, kind=kind, **to_plain(result))
        self._fruitless = 0 if result.episodes else self._fruitless + 1
        if self._fruitless >= ATTEMPTS:
            self._expect(result, Practice.Result.OK, f"{episodes} {kind}s to finish")
        if result.code != Practice.Result.OK:
            self._output.event("practice_interrupted", f"practice: {result.message}; going on")
        return int(result.episodes)

    def _practice_left_s(self, kind: str) -> float:
        """Time left; practice leaves room for the evaluation after it."""
        left_s = self._budget.left_s(self._watcher.elapsed_s())
        return (
            left_s - self._settings.evaluations_after * self._episode_s
            if kind == "rollout"
            else left_s
        )

    def _note(self, name: str, result: Any, **fields: Any) -> None:
        record = {"name": name, **to_plain(result), **fields}
        self._log.write("note", self._watcher.elapsed_s(), record)
        self._output.event(name, f"{name}: {result.message or 'done'}", **record)

    def _expect(self, result: Any, code: int, expected: str) -> None:
        if result.code != code:
            raise GraphError(
                expected=expected,
                got=f"code {result.code}: {result.message}",
                remedy="see the logs of the run",
            )

    def _describe(self, result: Any) -> str:
        words = {Record.Result.OK: "kept", Record.Result.DISCARDED: "discarded"}.get(
            result.code, "failed"
        )
        return f"demonstration {words}: {result.decisions} decisions. {result.message}".strip()


def stamp_now() -> str:
    """Local date and time for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S")
