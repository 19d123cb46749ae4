"""Bad camera messages: each has a status and a diagnostic, and afterwards the node reads on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from dopamine_msgs.msg import Decision, Episode
from sensor_msgs.msg import Image

from dopamine_core.types import Status
from dopamine_ros import names, qos
from dopamine_ros.convert.stamps import from_ns, to_ns
from tests.ros.command_graph import process, ros, spinning, wait_until
from tests.ros.reward_graph import BAR, MODULE, PARAMETERS, Stranger

pytestmark = pytest.mark.ros
Spoil = Callable[[str, Image], Image | None]


@pytest.fixture(scope="module")
def graph() -> Iterator[Stranger]:
    with ros():
        stranger = Stranger()
        with spinning(stranger), process(MODULE, *PARAMETERS, extra=BAR):
            stranger.until_status(Status.NO_TASK)
            assert stranger.set_task().success
            wait_until(lambda: len(stranger.statuses) >= 5, "diagnostics")
            yield stranger


@pytest.fixture
def stranger(graph: Stranger) -> Iterator[Stranger]:
    """Good images before; after the fault the node must read on by itself."""
    graph.until_status(Status.OK)
    yield graph
    graph.spoil, graph.skew_ns = lambda camera, message: message, 0
    graph.until_status(Status.OK)


def only(camera: str, change: Callable[[Image], Image | None]) -> Spoil:
    return lambda name, message: change(message) if name == camera else message


def restamp(message: Image, stamp_ns: int) -> Image:
    message.header.stamp = from_ns(stamp_ns)
    return message


def shrink(message: Image) -> Image:
    message.width, message.step = message.width // 2, message.step // 2
    message.data = message.data[: len(message.data) // 2]
    return message


def rename(message: Image) -> Image:
    message.encoding = "bayer_rggb8"
    return message


def cut(message: Image) -> Image:
    message.data = message.data[:100]
    return message


FAULTS: dict[str, tuple[Callable[[Image], Image | None], Status, str]] = {
    "unknown encoding": (rename, Status.BAD_IMAGE, "bayer_rggb8"),
    "size change in mid-stream": (shrink, Status.BAD_IMAGE, "64x48"),
    "zero stamp": (lambda m: restamp(m, 0), Status.BAD_IMAGE, "above zero"),
    "future stamp": (
        lambda m: restamp(m, to_ns(m.header.stamp) + 5 * 10**9),
        Status.BAD_IMAGE,
        "ahead",
    ),
    "too few bytes": (cut, Status.BAD_IMAGE, "100 bytes"),
    "silence": (lambda m: None, Status.MISSING_FRAME, "is wrist/image_raw publishing?"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_one_camera(stranger: Stranger, name: str) -> None:
    change, status, words = FAULTS[name]
    stranger.spoil = only("wrist", change)
    message = stranger.until_status(status, words)
    assert "camera 'wrist'" in message.status.text
    told = stranger.statuses
    wait_until(lambda: words in told["reward_node: camera wrist"][1], "the fault in diagnostics")
    assert told["reward_node: camera wrist"][0] == 2
    wait_until(lambda: told["reward_node: camera front"][0] == 0, "the other camera to be well")


def test_cameras_out_of_step(stranger: Stranger) -> None:
    stranger.spoil = out_of_step()
    message = stranger.until_status(Status.SKEW)
    assert "intake.max_skew_s" in message.status.text


def out_of_step() -> Spoil:
    """Let through every fourth front frame, and the wrist's frames half-way between them."""
    number = [0]

    def spoil(camera: str, message: Image) -> Image | None:
        number[0] += camera == "front"
        return message if number[0] % 4 == (0 if camera == "front" else 2) else None

    return spoil


def test_frames_that_come_too_late(stranger: Stranger) -> None:
    stranger.spoil = lambda camera, m: restamp(m, to_ns(m.header.stamp) - 800_000_000)
    message = stranger.until_status(Status.STALE)
    assert "0.5 s old" in message.status.text


def test_messages_with_impossible_numbers_are_dropped(stranger: Stranger) -> None:
    decisions = stranger.create_publisher(Decision, names.DECISION, qos.STREAM)
    episodes = stranger.create_publisher(Episode, names.EPISODE, qos.LATCHED)
    wait_until(lambda: decisions.get_subscription_count() > 0, "the reward node")
    decisions.publish(Decision(episode_id="bad", owner=99))
    episodes.publish(Episode(episode_id="bad", state=99))
    wait_until(
        lambda: "dropped" in stranger.statuses.get("reward_node: workers", (0, ""))[1],
        "a complaint in diagnostics",
    )
    stranger.until_status(Status.OK)


def test_decisions_during_a_fault_are_answered(stranger: Stranger) -> None:
    stranger.show(0.0)
    stranger.spoil = only("front", lambda m: None)
    stranger.until_status(Status.MISSING_FRAME)
    before = len(stranger.potentials)
    now_ns = stranger.now_ns()
    stranger.decide(0, "fault", front_stamp_ns=now_ns, wrist_stamp_ns=now_ns)
    wait_until(lambda: len(stranger.potentials) > before, "an answer")
    assert stranger.potentials[-1].status.code == Status.MISSING_FRAME
