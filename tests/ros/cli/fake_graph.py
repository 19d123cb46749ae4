"""Doubles of the graph's servers, true to the contracts only: they accept goals, answer, and remember the order."""

from __future__ import annotations

import threading
from typing import Any

import rclpy
from dopamine_msgs.action import Adapt, Practice, Record, Reset, Train
from dopamine_msgs.msg import Episode, LearnerStatus, Progress, Truth
from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger

from dopamine_ros import names, qos


class FakeGraph:
    """Runs in a context of its own, as another process would.

    :param refuse_first: discard the first demonstration.
    :param slow_practice: practise until cancelled.
    :param slow_record: record until kept or cancelled.
    """

    def __init__(
        self, *, refuse_first: bool = False, slow_practice: bool = False, slow_record: bool = False
    ) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._refuse_first, self._slow = refuse_first, slow_practice
        self._slow_record = slow_record
        self._kept = threading.Event()
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = Node("fake_graph", context=self._context)
        group = ReentrantCallbackGroup()
        self._servers = []
        for kind, name, run in (
            (Record, names.RECORD, self._record),
            (Reset, names.RESET, self._simple("reset", Reset)),
            (Adapt, names.ADAPT, self._simple("adapt", Adapt, rmse_before=0.3, rmse_after=0.2)),
            (Train, names.TRAIN, self._simple("train", Train)),
            (Practice, names.PRACTICE, self._practice),
        ):
            server = ActionServer(
                self.node,
                kind,
                name,
                run,
                callback_group=group,
                cancel_callback=lambda goal: CancelResponse.ACCEPT,
            )
            self._servers.append(server)
        self.node.create_service(Trigger, names.RECORD_KEEP, self._keep, callback_group=group)
        self._episode = self.node.create_publisher(Episode, names.EPISODE, qos.LATCHED)
        self._progress = self.node.create_publisher(Progress, names.PROGRESS, qos.STREAM)
        self._learner = self.node.create_publisher(LearnerStatus, names.LEARNER_STATUS, qos.STREAM)
        self._truth = self.node.create_publisher(Truth, names.TRUTH, qos.IMAGES)
        self.node.create_timer(0.05, self._publish)
        self._executor = MultiThreadedExecutor(num_threads=3, context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave; a server that stayed would seem ready to the next test's client."""
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(timeout=2.0)
        for server in self._servers:
            server.destroy()
        self.node.destroy_node()
        self._context.try_shutdown()

    def names(self) -> list[str]:
        """Actions in the order they were asked for."""
        return [name for name, _ in self.calls]

    def _publish(self) -> None:
        stamp = self.node.get_clock().now().to_msg()
        progress = Progress(progress=0.5)
        progress.header.stamp = stamp
        self._progress.publish(progress)
        self._learner.publish(LearnerStatus(phase=LearnerStatus.WAITING, waiting_for="a goal"))

    def _simple(self, name: str, kind: Any, **fields: float) -> Any:
        def run(handle: Any) -> Any:
            self.calls.append((name, handle.request))
            handle.succeed()
            return kind.Result(**fields)

        return run

    def _record(self, handle: Any) -> Any:
        self.calls.append(("record", handle.request))
        handle.publish_feedback(Record.Feedback(elapsed_s=1.0, decisions=10))
        if self._slow_record:
            while not handle.is_cancel_requested and not self._kept.wait(0.02):
                pass
        if self._slow_record and not self._kept.is_set():
            self.calls.append(("cancelled", None))
            handle.canceled()
            return Record.Result(code=Record.Result.DISCARDED)
        handle.succeed()
        count = self.names().count("record")
        if self._refuse_first and count == 1:
            return Record.Result(code=Record.Result.DISCARDED, message="dropped the peg")
        return Record.Result(bag_path=f"/bag/{count}", decisions=40)

    def _keep(self, _: Any, response: Any) -> Any:
        self._kept.set()
        response.success, response.message = True, "e1 kept"
        return response

    def _practice(self, handle: Any) -> Any:
        self.calls.append(("practice", handle.request))
        while self._slow and not handle.is_cancel_requested:
            threading.Event().wait(0.02)
        if self._slow:
            self.calls.append(("cancelled", None))
            handle.canceled()
            return Practice.Result(code=Practice.Result.CANCELLED)
        for index in range(handle.request.episodes):
            self._run_episode(f"{len(self.calls)}-{index}")
            threading.Event().wait(0.05)
        handle.succeed()
        return Practice.Result(episodes=handle.request.episodes, successes=1)

    def _run_episode(self, name: str) -> None:
        message = Episode(
            episode_id=name, state=Episode.OPEN, kind=Episode.KIND_ROLLOUT, task="insert_peg"
        )
        message.start_stamp.sec = 1
        self._episode.publish(message)
        threading.Event().wait(0.03)
        message.state, message.outcome = Episode.CLOSED, Episode.OUTCOME_TIME_LIMIT
        message.end_stamp.sec = 3
        self._episode.publish(message)
