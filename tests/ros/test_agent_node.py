"""The agent node in its own process; a stranger plays cameras, label lane, command path, episodes and learner."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from dopamine_core.control.kinematics import Kinematics
from dopamine_core.rl.encoder import FrozenEncoder
from dopamine_core.rl.observation import ObservationBuilder, ObservationConfig
from dopamine_core.types import EpisodeKind, Reading, Status
from dopamine_ros.convert.stamps import to_ns
from tests.core.rl.constant_policy import STEP_M, constant_policy, mean_colour_encoder
from tests.ros.agent_graph import Surroundings
from tests.ros.command_graph import CONFIG, ROOT, last_words, process, ros, spinning, wait_until

UNIT = np.array([0.5, -0.25, 0.0])


@pytest.fixture(scope="module")
def encoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    path.write_bytes(mean_colour_encoder())
    return path


def policy(
    encoder_path: Path, unit: np.ndarray, proprioception: tuple[str, ...] | None = None
) -> bytes:
    settings = ObservationConfig(proprioception) if proprioception else ObservationConfig()
    return constant_policy(
        ObservationBuilder(FrozenEncoder(encoder_path), Kinematics(), settings), unit
    )


@pytest.fixture(scope="module")
def graph(encoder_path: Path) -> Iterator[Surroundings]:
    with ros():
        around = Surroundings()
        extra = ("-p", f"encoder_path:={encoder_path}")
        with (
            spinning(around),
            process("dopamine_rl_node.agent_node", "agent_node.yaml", extra=extra),
        ):
            wait_until(lambda: around.status("decisions")[0] >= 0, "the agent node")
            yield around


@pytest.fixture
def around(graph: Surroundings) -> Iterator[Surroundings]:
    graph.answer_after_s, graph.reading, graph.speak_images = (
        0.02,
        Reading(Status.OK, progress=0.4),
        True,
    )
    yield graph
    graph.close("the end")
    time.sleep(0.3)
    graph.decisions.clear()
    graph.actions.clear()


def test_without_a_policy_an_episode_has_decisions_but_no_actions(around: Surroundings) -> None:
    around.open("before")
    wait_until(lambda: len(around.decisions) >= 5, "decisions")
    wait_until(lambda: "no policy yet" in around.status("decisions")[1], "the reason")
    assert around.actions == [] and around.decisions[0].policy_version == 0


def without_spread(data: bytes) -> bytes:
    """A policy that loads, and fails when it is asked to act."""
    model = onnx.load_from_string(data)
    del model.graph.output[1]
    return model.SerializeToString()


def with_an_axis_of_its_own(data: bytes) -> bytes:
    model = onnx.load_from_string(data)
    [axes] = [entry for entry in model.metadata_props if entry.key == "axes"]
    axes.value = "x,y,sideways"
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("spoil", "word"), [(without_spread, "unpack"), (with_an_axis_of_its_own, "sideways")]
)
def test_weights_that_cannot_act_are_refused_before_an_episode(
    around: Surroundings, encoder_path: Path, spoil: Callable[[bytes], bytes], word: str
) -> None:
    around.send_weights(spoil(policy(encoder_path, UNIT)), 8)
    wait_until(lambda: word in around.status("weights")[1], "a diagnostic")
    assert around.status("weights")[0] == 1
    around.open("after")
    wait_until(lambda: len(around.decisions) >= 3, "decisions go on")
    assert around.actions == []


@pytest.mark.parametrize("fault", ["hash", "bytes", "observation"])
def test_unusable_weights_are_named_and_not_used(
    around: Surroundings, encoder_path: Path, fault: str
) -> None:
    data = policy(encoder_path, UNIT, ("height",) if fault == "observation" else None)
    data = data[:200] if fault == "bytes" else data
    around.send_weights(data, 9, "00" * 32 if fault == "hash" else "")
    word = {"hash": "sha256", "bytes": "ONNX", "observation": "observation"}[fault]
    wait_until(lambda: word in around.status("weights")[1], "a diagnostic")
    assert around.status("weights")[0] == 1


def test_ten_actions_a_second_at_a_constant_delay(around: Surroundings, encoder_path: Path) -> None:
    around.send_weights(policy(encoder_path, UNIT), 1)
    wait_until(lambda: around.status("weights")[0] == 0, "the policy")
    around.open("rollout")
    wait_until(lambda: len(around.actions) >= 30, "actions")
    around.close("rollout")
    decided = [to_ns(decision.header.stamp) for decision in around.decisions]
    assert [decision.index for decision in around.decisions] == list(range(len(decided)))
    for _, action in around.actions:
        assert to_ns(action.header.stamp) in decided and action.policy_version == 1
    shares = np.array([action.displacement for _, action in around.actions]) / STEP_M
    assert np.median(shares[:, 0]) == pytest.approx(0.5, abs=0.1)  # sampled around the mode
    # Loose on purpose, so that a busy machine does not fail it: benchmarks/control_period.py measures.
    assert np.percentile(np.abs(np.diff(decided) * 1e-9 - 0.1), 25) < 0.01


def test_decisions_name_frames_and_joints_that_were_sent(around: Surroundings) -> None:
    around.open("names")
    wait_until(lambda: len(around.decisions) >= 5, "decisions")
    for decision in around.decisions:
        age = to_ns(decision.header.stamp) - to_ns(decision.front_stamp)
        assert 0 <= age < 200_000_000 and to_ns(decision.joint_stamp) > 0
        assert decision.episode_id == "names"


@pytest.mark.parametrize("after_s", [None, 0.095])
def test_without_a_potential_in_time_there_is_no_action(
    around: Surroundings, after_s: float | None
) -> None:
    around.answer_after_s = after_s
    around.open("silent")
    wait_until(lambda: len(around.decisions) >= 8, "decisions")
    assert len(around.actions) <= 1
    wait_until(lambda: "no potential" in around.status("decisions")[1], "the reason")
    assert int(around.status("decisions")[2]["decisions without action"]) > 0
    around.answer_after_s = 0.01
    wait_until(lambda: len(around.actions) >= 3, "actions again")


def test_an_invalid_reading_gives_no_action(around: Surroundings) -> None:
    around.reading = Reading(Status.INVALID_HOP, "the model said nothing")
    around.open("invalid")
    wait_until(lambda: "the model said nothing" in around.status("decisions")[1], "the reason")
    assert around.actions == []


def test_a_silent_camera_makes_no_decisions(around: Surroundings) -> None:
    around.open("dark")
    wait_until(lambda: len(around.actions) >= 3, "actions")
    around.speak_images = False
    wait_until(lambda: "camera pair" in around.status("decisions")[1], "the reason")
    count = len(around.decisions)
    time.sleep(0.5)
    assert len(around.decisions) == count
    around.speak_images = True
    wait_until(lambda: len(around.decisions) > count + 3, "decisions again")


def test_weights_are_swapped_between_episodes(around: Surroundings, encoder_path: Path) -> None:
    around.open("one")
    wait_until(lambda: len(around.actions) >= 3, "actions")
    around.send_weights(policy(encoder_path, -UNIT), 2)
    time.sleep(0.5)
    assert {action.policy_version for _, action in around.actions} == {1}
    around.close("one")
    time.sleep(0.3)
    around.actions.clear()
    around.open("two", EpisodeKind.EVALUATION)
    wait_until(lambda: len(around.actions) >= 5, "actions of the new policy")
    for _, action in around.actions:
        assert action.policy_version == 2
        np.testing.assert_allclose(action.displacement[:3], -UNIT * STEP_M, atol=1e-6)  # greedy


def test_demonstrations_belong_to_others(around: Surroundings) -> None:
    around.open("demo", EpisodeKind.DEMONSTRATION)
    time.sleep(0.6)
    assert around.decisions == [] and around.actions == []


def test_messages_that_make_no_sense_are_named_and_survived(around: Surroundings) -> None:
    around.open("nonsense")
    wait_until(lambda: len(around.decisions) >= 3, "decisions")
    around.send_nonsense()
    for kind in ("Command", "Episode", "FramePair", "Potential"):
        wait_until(lambda k=kind: around.status(f"dropped {k}")[0] == 1, f"a diagnostic of {kind}")
    count = len(around.decisions)
    wait_until(lambda: len(around.decisions) > count + 3, "decisions go on")


def test_an_episode_that_began_before_the_node_is_left_alone(around: Surroundings) -> None:
    around.open("old", age_s=3600.0)
    time.sleep(0.6)
    assert around.decisions == []
    assert "began before" in around.status("episode")[1]


def test_a_missing_encoder_is_refused_by_name(tmp_path: Path) -> None:
    extra = ("-p", f"encoder_path:={tmp_path / 'gone.onnx'}")
    with process("dopamine_rl_node.agent_node", "agent_node.yaml", extra=extra) as child:
        stderr = last_words(child)
    assert child.returncode == 2 and "gone.onnx" in stderr and "LearnerError" in stderr


def test_torch_is_never_in_the_agents_process(encoder_path: Path) -> None:
    script = (
        "import sys; from dopamine_rl_node.agent_node import main; code = main(sys.argv[1:]);"
        "print(f'code {code} torch {\"torch\" in sys.modules}')"
    )
    arguments = ["--ros-args", "--params-file", str(CONFIG / "agent_node.yaml")]
    arguments += ["-p", f"encoder_path:={encoder_path}"]
    child = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    while "ready" not in (line := child.stderr.readline()):
        assert line, "it ended before it was ready"
    child.send_signal(signal.SIGINT)
    stdout, _ = child.communicate(timeout=60.0)
    assert "code 0 torch False" in stdout
