"""Learner status and policy weights between messages and the core."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass

from dopamine_msgs.msg import LearnerStatus as LearnerStatusMsg
from dopamine_msgs.msg import PolicyWeights as PolicyWeightsMsg

from dopamine_core.errors import LearnerError
from dopamine_core.rl.policy import OnnxPolicy
from dopamine_core.rl.status import PANEL, LearnerState
from dopamine_ros.convert.stamps import from_ns

FORMAT = "onnx"


@dataclass(frozen=True)
class PolicyVersion:
    """One version of the policy as it travels."""

    version: int
    encoder_sha256: str
    data: bytes  # ONNX

    @property
    def sha256(self) -> str:
        """Hash of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


def policy_to_msg(version: int, data: bytes, stamp_ns: int) -> PolicyWeightsMsg:
    """Return the message of a policy version.

    :param data: ONNX bytes as ``Learner.export`` writes them.
    """
    policy = PolicyVersion(version, OnnxPolicy.from_bytes(data).info.encoder_sha256, data)
    message = PolicyWeightsMsg(
        version=version, encoder_sha256=policy.encoder_sha256, format=FORMAT, sha256=policy.sha256
    )
    message.header.stamp = from_ns(stamp_ns)
    message.data = array("B", data)  # a bytes value would be checked element by element
    return message


def policy_from_msg(message: PolicyWeightsMsg) -> PolicyVersion:
    """Return the policy version of a message.

    :raises LearnerError: on an unknown format or bytes that do not match their hash.
    """
    policy = PolicyVersion(message.version, message.encoder_sha256, bytes(message.data))
    if message.format != FORMAT or policy.sha256 != message.sha256:
        raise LearnerError(
            expected=f"{FORMAT} bytes with sha256 {message.sha256[:12]}",
            got=f"{message.format!r} with {policy.sha256[:12]}",
            remedy="the message is of another version or damaged: restart the learner",
        )
    return policy


def status_to_msg(state: LearnerState, stamp_ns: int) -> LearnerStatusMsg:
    """Return the message of the learner's state; figures that do not exist yet are NaN."""
    counts, nan = state.counts, float("nan")
    message = LearnerStatusMsg(
        phase=int(state.phase),
        waiting_for=state.waiting_for,
        offline_episodes=counts.offline_episodes,
        online_episodes=counts.online_episodes,
        offline_transitions=counts.offline_transitions,
        online_transitions=counts.online_transitions,
        dropped_transitions=counts.dropped,
        gradient_steps=state.gradient_steps,
        gradient_steps_target=state.gradient_steps_target,
        policy_version=state.policy_version,
        updates_per_second=state.updates_per_second,
        health=list(state.health.warnings) if state.health else [],
        checkpoint=state.checkpoint,
    )
    for name in PANEL:
        setattr(message, name, getattr(state.health, name) if state.health else nan)
    message.header.stamp = from_ns(stamp_ns)
    return message
