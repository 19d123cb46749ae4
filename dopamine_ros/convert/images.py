"""Camera images and frame pairs between messages and the core."""

from __future__ import annotations

from array import array

import numpy as np
from dopamine_msgs.msg import FramePair as FramePairMsg
from dopamine_msgs.srv import SetTask
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image

from dopamine_core.errors import DopamineError, ImageError
from dopamine_core.frames.codec import decode, from_compressed, from_raw
from dopamine_core.frames.intake import Frame, RawImage
from dopamine_core.reward.session import References
from dopamine_core.types import EncodedImage, FramePair
from dopamine_ros.convert.stamps import duration_from_ns, from_ns, to_ns

_THUMBNAIL = (160, 120)


def frame_from_msg(message: Image | CompressedImage) -> Frame:
    """Return a camera's frame, raw or compressed, without touching its pixels.

    :raises ImageError: when compressed bytes are neither JPEG nor PNG.
    """
    if isinstance(message, CompressedImage):
        return encoded_from_msg(message)
    return RawImage(
        to_ns(message.header.stamp),
        message.encoding,
        message.width,
        message.height,
        message.step,
        memoryview(message.data),
    )


def rgb_from_msg(message: Image) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 RGB.

    :raises ImageError: on unknown encodings or contradictory sizes.
    """
    return from_raw(
        message.encoding, message.width, message.height, message.step, memoryview(message.data)
    )


def rgb_to_msg(rgb: NDArray[np.uint8], stamp_ns: int, frame_id: str = "") -> Image:
    """Return an rgb8 image message of (H, W, 3) uint8 RGB."""
    height, width = rgb.shape[:2]
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message.header.stamp = from_ns(stamp_ns)
    message.header.frame_id = frame_id
    message.data = array("B", np.ascontiguousarray(rgb).tobytes())
    return message


def encoded_to_msg(image: EncodedImage) -> CompressedImage:
    """Return the compressed image message that carries exactly these bytes."""
    message = CompressedImage(format=image.format)
    message.header.stamp = from_ns(image.stamp_ns)
    message.data = array("B", image.data)  # a bytes value would be checked element by element
    return message


def encoded_from_msg(message: CompressedImage) -> EncodedImage:
    """Take a compressed image as it is.

    :raises ImageError: when the bytes are neither JPEG nor PNG.
    """
    return from_compressed(message.format, message.data.tobytes(), to_ns(message.header.stamp))


def frame_pair_to_msg(pair: FramePair) -> FramePairMsg:
    """Return the message of a pair."""
    message = FramePairMsg(front=encoded_to_msg(pair.front), wrist=encoded_to_msg(pair.wrist))
    message.header.stamp = from_ns(pair.stamp_ns)
    message.skew = duration_from_ns(pair.skew_ns)
    return message


def frame_pair_from_msg(message: FramePairMsg) -> FramePair:
    """Return the pair of a message.

    :raises ImageError: when the bytes are neither JPEG nor PNG.
    """
    return FramePair(encoded_from_msg(message.front), encoded_from_msg(message.wrist))


def missing_view() -> EncodedImage:
    """Stand for a reference image that was not given: no bytes."""
    return EncodedImage(stamp_ns=0, format="", data=b"", width=0, height=0)


def references_from_request(request: SetTask.Request) -> References:
    """Return what the model is shown of the task.

    :raises DopamineError: when task or goal are missing or an image cannot be decoded.
    """
    wrists = list(request.goal_wrist) or [CompressedImage() for _ in request.goal_front]
    if not request.task.strip() or not request.goal_front or len(wrists) != len(request.goal_front):
        raise DopamineError(
            expected="a task, at least one goal_front, and as many goal_wrist or none",
            got=f"task {request.task!r}, {len(request.goal_front)} and {len(request.goal_wrist)}",
            remedy="give the goal images of a demonstration",
        )
    goals = tuple(
        FramePair(
            _reference(front, f"goal_front[{k}]"), _reference(wrist, f"goal_wrist[{k}]", True)
        )
        for k, (front, wrist) in enumerate(zip(request.goal_front, wrists, strict=True))
    )
    if not request.start_front.data:
        return References(request.task, goals)
    start = FramePair(
        _reference(request.start_front, "start_front"),
        _reference(request.start_wrist, "start_wrist", True),
    )
    return References(request.task, goals, start)


def references_to_request(references: References) -> SetTask.Request:
    """Return the request that sets these references."""
    request = SetTask.Request(task=references.task)
    request.goal_front = [encoded_to_msg(goal.front) for goal in references.goals]
    request.goal_wrist = [encoded_to_msg(goal.wrist) for goal in references.goals]
    if references.start is not None:
        request.start_front = encoded_to_msg(references.start.front)
        request.start_wrist = encoded_to_msg(references.start.wrist)
    return request


def _reference(message: CompressedImage, name: str, optional: bool = False) -> EncodedImage:
    """Take a reference image; its pixels are decoded once, so that a bad one is refused at once."""
    if optional and not message.data:
        return missing_view()
    try:
        image = encoded_from_msg(message)
        decode(image, _THUMBNAIL)
    except ImageError as error:
        where = f"{name}: {error.expected}"
        raise ImageError(expected=where, got=error.got, remedy=error.remedy) from error
    return image
