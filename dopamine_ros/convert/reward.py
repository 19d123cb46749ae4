"""Decisions, potentials, progress, reward terms and success between messages and the core."""

from __future__ import annotations

from dopamine_msgs.msg import Decision as DecisionMsg
from dopamine_msgs.msg import EpisodePotentials as EpisodePotentialsMsg
from dopamine_msgs.msg import Potential as PotentialMsg
from dopamine_msgs.msg import Progress as ProgressMsg
from dopamine_msgs.msg import Reward as RewardMsg
from dopamine_msgs.msg import RewardModel as RewardModelMsg
from dopamine_msgs.msg import RewardStatus as RewardStatusMsg
from dopamine_msgs.msg import Success as SuccessMsg

from dopamine_core.episodes import decode
from dopamine_core.episodes.potential_set import PotentialSet
from dopamine_core.reward.shaping import RewardTerms
from dopamine_core.reward.success import SuccessEvent
from dopamine_core.types import (
    Decision,
    EpisodeInfo,
    FramePair,
    ModelId,
    Potential,
    Reading,
    Status,
)
from dopamine_ros.convert.episodes import episode_from_msg, episode_to_msg
from dopamine_ros.convert.stamps import duration_from_ns, from_ns, to_ns

TERMINAL_MODES = {"exact": RewardMsg.MODE_EXACT, "paper": RewardMsg.MODE_PAPER}


def decision_to_msg(decision: Decision) -> DecisionMsg:
    """Return the message of a decision."""
    message = DecisionMsg(
        episode_id=decision.episode_id,
        index=decision.index,
        owner=int(decision.owner),
        front_stamp=from_ns(decision.front_stamp_ns),
        wrist_stamp=from_ns(decision.wrist_stamp_ns),
        joint_stamp=from_ns(decision.joint_stamp_ns),
        policy_version=decision.policy_version,
    )
    message.header.stamp = from_ns(decision.stamp_ns)
    return message


def decision_from_msg(message: DecisionMsg) -> Decision:
    """Return the decision of a message."""
    return decode.decision(message)


def model_to_msg(model: ModelId) -> RewardModelMsg:
    """Return the message of a model's identity."""
    return RewardModelMsg(name=model.name, sha256=model.sha256, adapted=model.adapted)


def model_from_msg(message: RewardModelMsg) -> ModelId:
    """Return the identity of a message."""
    return ModelId(message.name, message.sha256, message.adapted)


def status_to_msg(status: Status, text: str = "") -> RewardStatusMsg:
    """Return the message of a status."""
    return RewardStatusMsg(code=int(status), text=text)


def potential_to_msg(potential: Potential) -> PotentialMsg:
    """Return the message of a label-lane answer."""
    reading = potential.reading
    message = PotentialMsg(
        episode_id=potential.episode_id,
        index=potential.index,
        status=status_to_msg(reading.status, reading.text),
        hop=list(reading.hop),
        reading=list(reading.reading),
        consistency=reading.consistency,
        progress=reading.progress,
        potential=potential.potential,
        uncertainty=reading.uncertainty,
        success_probability=reading.success_probability,
        success=potential.success,
        inference_time=duration_from_ns(reading.inference_ns),
        model=model_to_msg(potential.model),
    )
    message.header.stamp = from_ns(potential.decision_stamp_ns)
    return message


def potential_from_msg(message: PotentialMsg) -> Potential:
    """Return the label-lane answer of a message; numbers carry float32 precision."""
    return decode.potential(message)


def potential_set_to_msg(potentials: PotentialSet, stamp_ns: int) -> EpisodePotentialsMsg:
    """Return the message of a relabelled episode."""
    message = EpisodePotentialsMsg(
        episode=episode_to_msg(potentials.info),
        status=status_to_msg(Status.OK),
        model=model_to_msg(potentials.model),
        labels_sha256=potentials.labels_sha256,
        potentials=[potential_to_msg(item) for item in potentials.potentials],
    )
    message.header.stamp = from_ns(stamp_ns)
    return message


def no_potentials_to_msg(
    info: EpisodeInfo, text: str, model: ModelId, stamp_ns: int
) -> EpisodePotentialsMsg:
    """Return the message of an episode that cannot be relabelled.

    :param text: why.
    """
    message = EpisodePotentialsMsg(
        episode=episode_to_msg(info),
        status=status_to_msg(Status.MODEL_ERROR, text),
        model=model_to_msg(model),
    )
    message.header.stamp = from_ns(stamp_ns)
    return message


def potential_set_from_msg(message: EpisodePotentialsMsg) -> PotentialSet:
    """Return the potentials of a relabelled episode; numbers carry float32 precision."""
    return PotentialSet(
        info=episode_from_msg(message.episode),
        model=model_from_msg(message.model),
        labels_sha256=message.labels_sha256,
        potentials=tuple(potential_from_msg(item) for item in message.potentials),
    )


def progress_to_msg(
    reading: Reading, pair: FramePair | None, episode_id: str, model: ModelId, now_ns: int
) -> ProgressMsg:
    """Return the message of a monitor-lane reading.

    :param pair: the pair looked at; None for a status without one, which is stamped now.
    :param now_ns: present time, for the frame age.
    """
    stamp_ns = now_ns if pair is None else pair.stamp_ns
    message = ProgressMsg(
        episode_id=episode_id,
        status=status_to_msg(reading.status, reading.text),
        hop=list(reading.hop),
        reading=list(reading.reading),
        consistency=reading.consistency,
        progress=reading.progress,
        uncertainty=reading.uncertainty,
        success_probability=reading.success_probability,
        inference_time=duration_from_ns(reading.inference_ns),
        frame_age=duration_from_ns(now_ns - stamp_ns),
        skew=duration_from_ns(0 if pair is None else pair.skew_ns),
        model=model_to_msg(model),
    )
    message.header.stamp = from_ns(stamp_ns)
    return message


def reward_to_msg(
    left: Potential,
    reached: Potential,
    terms: RewardTerms,
    *,
    terminal_mode: str,
    frame_age_ns: int,
    skew_ns: int,
) -> RewardMsg:
    """Return the message of one transition's terms.

    :param left: potential of the state that the transition leaves.
    :param reached: potential of the state that it reaches.
    :param frame_age_ns: age of the reached state's frames when its potential was known.
    :param skew_ns: between these frames.
    """
    bad = next((p.reading for p in (left, reached) if not p.reading.ok), None)
    message = RewardMsg(
        episode_id=reached.episode_id,
        index=left.index,
        status=status_to_msg(Status.OK) if bad is None else status_to_msg(bad.status, bad.text),
        hop=list(reached.reading.hop),
        reading=list(reached.reading.reading),
        progress=reached.reading.progress,
        consistency=reached.reading.consistency,
        potential=terms.potential,
        potential_next=terms.potential_next,
        gamma=terms.gamma,
        shaping=terms.shaping,
        r_gold=terms.r_gold,
        total=terms.total,
        success=terms.success,
        terminated=terms.terminated,
        truncated=terms.truncated,
        terminal_mode=TERMINAL_MODES[terminal_mode],
        inference_time=duration_from_ns(reached.reading.inference_ns),
        frame_age=duration_from_ns(frame_age_ns),
        skew=duration_from_ns(skew_ns),
        model=model_to_msg(reached.model),
    )
    message.header.stamp = from_ns(left.decision_stamp_ns)
    message.next_stamp = from_ns(reached.decision_stamp_ns)
    return message


def success_to_msg(event: SuccessEvent, episode_id: str, model: ModelId) -> SuccessMsg:
    """Return the message of a success."""
    message = SuccessMsg(
        episode_id=episode_id,
        progress=event.progress,
        threshold=event.threshold,
        consecutive=event.consecutive,
        model=model_to_msg(model),
    )
    message.header.stamp = from_ns(event.stamp_ns)
    return message


def success_from_msg(message: SuccessMsg) -> tuple[SuccessEvent, str]:
    """Return the event and the episode it belongs to."""
    event = SuccessEvent(
        to_ns(message.header.stamp), message.progress, message.threshold, message.consecutive
    )
    return event, message.episode_id
