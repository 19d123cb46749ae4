"""Service calls and buttons come in, the desk acts, answers go out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dopamine_msgs.srv import CloseEpisode, LabelEpisode, OpenEpisode
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_srvs.srv import Trigger

from dopamine_core.control.teleop import ButtonEdges, JoyMap
from dopamine_core.errors import DopamineError
from dopamine_core.types import EpisodeKind, Outcome
from dopamine_demo_node.desk import Desk
from dopamine_ros import names


class Services:
    """Open, close and label; Trigger twins of the buttons; the buttons themselves."""

    def __init__(self, node: Node, desk: Desk, joy_map: JoyMap) -> None:
        self._desk = desk
        self._joy_map = joy_map
        self._edges = ButtonEdges()
        self._log = node.get_logger()
        group = MutuallyExclusiveCallbackGroup()
        for kind, name, answer in (
            (OpenEpisode, names.OPEN_EPISODE, self._open),
            (CloseEpisode, names.CLOSE_EPISODE, self._close),
            (LabelEpisode, names.LABEL_EPISODE, self._label),
        ):
            node.create_service(kind, name, answer, callback_group=group)
        for name, act in (
            (names.RECORD_START, desk.start),
            (names.RECORD_KEEP, desk.keep),
            (names.RECORD_DISCARD, desk.discard),
            (names.MARK_KEYFRAME, desk.mark_keyframe),
            (names.RESET_CONFIRM, desk.confirm_scene),
        ):
            node.create_service(Trigger, name, _trigger(act), callback_group=group)
        node.create_subscription(Joy, names.JOY, self._on_joy, 5, callback_group=group)

    def _open(self, request: Any, response: Any) -> Any:
        def act() -> str:
            kind = EpisodeKind(request.kind)
            info = self._desk.open(kind, request.task, request.time_limit_s, record=request.record)
            response.episode_id = info.episode_id
            return "open"

        return _answer(response, act)

    def _close(self, request: Any, response: Any) -> Any:
        def act() -> str:
            return self._desk.close(Outcome(request.outcome), request.episode_id, request.text)

        return _answer(response, act)

    def _label(self, request: Any, response: Any) -> Any:
        return _answer(
            response, lambda: self._desk.label(Outcome(request.outcome), request.episode_id)
        )

    def _on_joy(self, message: Joy) -> None:
        pressed = self._edges.pressed(self._joy_map.held(message.buttons))
        for answer in self._desk.on_buttons(pressed):
            self._log.info(answer)


def _trigger(act: Callable[[], str]) -> Callable[[Any, Any], Any]:
    return lambda _, response: _answer(response, act)


def _answer(response: Any, act: Callable[[], str]) -> Any:
    """Act and say what came of it; a refusal is an answer, not a crash."""
    try:
        response.message, response.success = act(), True
    except (DopamineError, ValueError) as error:  # ValueError: a code that the enums do not know
        response.message, response.success = str(error), False
    return response
