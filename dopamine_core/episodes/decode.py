"""Messages come in, the core's values go out: the one reading of ``dopamine_msgs``' fields, for topics and bags.

A bag is read without ROS: ``mcap_ros2`` makes plain objects out of the schema in the file, whose fields are named as
those of rclpy's messages.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dopamine_core.frames.codec import from_compressed
from dopamine_core.types import (
    CommandRecord,
    CommandSource,
    Decision,
    DecisionOwner,
    EncodedImage,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    JointSample,
    LimitReason,
    ModelId,
    Outcome,
    OutcomeSource,
    Potential,
    Reading,
    ResetState,
    Status,
)

_NS = 1_000_000_000


def ns(time: Any) -> int:
    """Nanoseconds of a time or duration."""
    return int(time.sec) * _NS + int(time.nanosec)


def image(message: Any) -> EncodedImage:
    """Frame of a camera.

    :raises ImageError: when the bytes are neither JPEG nor PNG.
    """
    return from_compressed(message.format, bytes(message.data), ns(message.header.stamp))


def decision(message: Any) -> Decision:
    """Decision."""
    return Decision(
        stamp_ns=ns(message.header.stamp),
        episode_id=message.episode_id,
        index=message.index,
        owner=DecisionOwner(message.owner),
        front_stamp_ns=ns(message.front_stamp),
        wrist_stamp_ns=ns(message.wrist_stamp),
        joint_stamp_ns=ns(message.joint_stamp),
        policy_version=message.policy_version,
    )


def potential(message: Any) -> Potential:
    """Label lane's answer; numbers carry float32 precision."""
    reading = Reading(
        status=Status(message.status.code),
        text=message.status.text,
        hop=_triple(message.hop),
        reading=_triple(message.reading),
        consistency=message.consistency,
        progress=message.progress,
        uncertainty=message.uncertainty,
        success_probability=getattr(message, "success_probability", math.nan),  # older bags
        inference_ns=ns(message.inference_time),
    )
    return Potential(
        decision_stamp_ns=ns(message.header.stamp),
        episode_id=message.episode_id,
        index=message.index,
        reading=reading,
        potential=message.potential,
        success=message.success,
        model=ModelId(message.model.name, message.model.sha256, message.model.adapted),
    )


def command(message: Any) -> CommandRecord:
    """Tick of the command path."""
    return CommandRecord(
        stamp_ns=ns(message.header.stamp),
        source=CommandSource(message.source),
        decision_stamp_ns=ns(message.decision_stamp),
        proposed=np.array(message.proposed, np.float64),
        executed=np.array(message.executed, np.float64),
        gripper_proposed=message.gripper_proposed,
        gripper_executed=message.gripper_executed,
        joint_names=tuple(message.joint_names),
        joint_positions=np.array(message.joint_positions, np.float64),
        reasons=LimitReason(message.limit_reasons),
        text=message.text,
        reset_state=ResetState(message.reset_state),
        reset_stamp_ns=ns(message.reset_stamp),
    )


def joints(message: Any) -> JointSample:
    """Joint sample; without velocities where the driver gives none."""
    velocity = np.array(message.velocity, np.float64)
    return JointSample(
        stamp_ns=ns(message.header.stamp),
        names=tuple(message.name),
        position=np.array(message.position, np.float64),
        velocity=velocity if velocity.size else None,
    )


def episode(message: Any) -> EpisodeInfo:
    """State of an episode."""
    return EpisodeInfo(
        episode_id=message.episode_id,
        state=EpisodeState(message.state),
        kind=EpisodeKind(message.kind),
        task=message.task,
        stamp_ns=ns(message.header.stamp),
        start_ns=ns(message.start_stamp),
        end_ns=ns(message.end_stamp),
        outcome=Outcome(message.outcome),
        outcome_source=OutcomeSource(message.outcome_source),
        success_ns=ns(message.success_stamp),
        kept=message.kept,
        takeovers=message.takeovers,
        bag_path=message.bag_path,
        text=message.text,
    )


def _triple(values: Any) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third
