"""The state of an episode between messages and the core."""

from __future__ import annotations

from dopamine_msgs.msg import Episode as EpisodeMsg

from dopamine_core.episodes import decode
from dopamine_core.types import EpisodeInfo
from dopamine_ros.convert.stamps import from_ns


def episode_to_msg(info: EpisodeInfo) -> EpisodeMsg:
    """Return the message of an episode's state."""
    message = EpisodeMsg(
        episode_id=info.episode_id,
        state=int(info.state),
        kind=int(info.kind),
        task=info.task,
        start_stamp=from_ns(info.start_ns),
        end_stamp=from_ns(info.end_ns),
        outcome=int(info.outcome),
        outcome_source=int(info.outcome_source),
        terminated=info.terminated,
        truncated=info.truncated,
        success_stamp=from_ns(info.success_ns),
        kept=info.kept,
        takeovers=info.takeovers,
        bag_path=info.bag_path,
        text=info.text,
    )
    message.header.stamp = from_ns(info.stamp_ns)
    return message


def episode_from_msg(message: EpisodeMsg) -> EpisodeInfo:
    """Return the state of a message; terminated and truncated follow from the outcome.

    :raises ValueError: when a code is not one of ``dopamine_msgs/Episode``.
    """
    return decode.episode(message)
