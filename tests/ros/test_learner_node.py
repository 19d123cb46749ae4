"""The learner in its own process: trains on bags, learns from live episodes, resumes, and says why it waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dopamine_msgs.action import Train
from dopamine_msgs.msg import LearnerStatus

from dopamine_core.rl.policy import OnnxPolicy
from dopamine_core.types import EpisodeKind, Outcome
from dopamine_ros.convert.learner import policy_from_msg
from tests.core.episodes.hand_made import START
from tests.core.rl.constant_policy import mean_colour_encoder
from tests.ros.command_graph import process, ros, spinning, wait_until
from tests.ros.learner_graph import Around, play, write_bag

DAY = 86_400 * 10**9


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("bags")
    return [write_bag(folder, f"demo-{k}", START + k * DAY) for k in range(2)]


@contextmanager
def learner(folder: Path, *extra: str) -> Iterator[Around]:
    """A learner process with small networks, and the stranger around it."""
    encoder = folder / "encoder.onnx"
    encoder.write_bytes(mean_colour_encoder())
    settings = {
        "directory": folder,
        "encoder_path": encoder,
        "encoder_name": "mean_colour",
        "agent.hidden": "[16, 16]",
        "learner.batch_size": 16,
        "learner.offline_steps": 20,
        "observation.proprioception": "[position, contact]",
        "worker.publish_updates": 1000,
        "worker.checkpoint_episodes": 1,
    }
    parameters = [part for k, v in settings.items() for part in ("-p", f"{k}:={v}")]
    with (
        ros(),
        process("dopamine_rl_node.learner_node", "learner_node.yaml", extra=(*parameters, *extra)),
    ):
        around = Around()
        with spinning(around):
            wait_until(around.heard_by_learner, "the learner to listen", 40.0)
            yield around


def test_offline_online_and_resume(bags: list[str], tmp_path: Path) -> None:
    with learner(tmp_path) as around:
        status = around.until_status(lambda s: s.phase == LearnerStatus.IDLE, "idle")
        assert "call train" in status.waiting_for

        result = around.train(bag_paths=bags, then_online=True)
        assert (result.code, result.gradient_steps) == (Train.Result.OK, 20), result.message
        assert Path(result.checkpoint).is_dir()
        wait_until(lambda: bool(around.policies), "a policy")
        version = policy_from_msg(around.policies[-1])
        info = OnnxPolicy.from_bytes(version.data).info
        assert (version.version, info.encoder_name) == (1, "mean_colour")
        assert info.encoder_sha256 == version.encoder_sha256
        status = around.until_status(lambda s: s.phase == LearnerStatus.WAITING, "waiting")
        assert "practice" in status.waiting_for
        assert (status.offline_episodes, status.offline_transitions) == (2, 22)
        assert status.dropped_transitions == 0

        bag = write_bag(tmp_path, "roll-1", around.now_ns() - DAY, kind=EpisodeKind.ROLLOUT)
        rollout = {"kind": EpisodeKind.ROLLOUT, "outcome": Outcome.TIME_LIMIT, "bag_path": bag}
        around.send(play("roll-1", around.now_ns() - 2 * 10**9, **rollout))
        status = around.until_status(
            lambda s: s.online_episodes == 1 and s.phase == LearnerStatus.WAITING, "learned"
        )
        assert status.online_transitions == 11 and status.dropped_transitions == 0
        assert status.gradient_steps == 20 + 2 * 11
        wait_until(lambda: around.policies[-1].version == 2, "the next policy")
        assert OnnxPolicy.from_bytes(policy_from_msg(around.policies[-1]).data)

    with learner(tmp_path) as around:
        result = around.train(resume_from=str(tmp_path / "checkpoints"), then_online=True)
        assert (result.code, result.gradient_steps) == (Train.Result.OK, 42), result.message
        wait_until(lambda: bool(around.policies), "the resumed policy")
        assert around.policies[-1].version == 3
        status = around.until_status(lambda s: s.phase == LearnerStatus.WAITING, "waiting")
        assert (status.offline_episodes, status.online_episodes) == (2, 1)


def test_bad_requests_are_named_and_the_node_lives_on(bags: list[str], tmp_path: Path) -> None:
    with learner(tmp_path) as around:
        result = around.train()
        assert result.code == Train.Result.NO_DATA and "demonstration" in result.message
        broken = tmp_path / "broken.mcap"
        broken.write_bytes(b"not a bag")
        result = around.train(bag_paths=[str(broken)])
        assert result.code == Train.Result.FAILED and "broken.mcap" in result.message
        status = around.until_status(lambda s: s.phase == LearnerStatus.FAILED, "failed")
        assert "broken.mcap" in status.waiting_for
        result = around.train(resume_from=str(tmp_path / "nowhere"))
        assert result.code == Train.Result.FAILED and "a checkpoint in" in result.message

        handle = around.start_training(Train.Goal(bag_paths=bags, gradient_steps=10**6))
        around.until_status(lambda s: s.phase == LearnerStatus.OFFLINE, "training")
        cancelled = handle.cancel_goal_async()
        wait_until(cancelled.done, "the cancellation")
        future = handle.get_result_async()
        wait_until(future.done, "the end of training")
        assert future.result().result.code == Train.Result.CANCELLED

        result = around.train(bag_paths=bags)
        assert result.code == Train.Result.OK


def test_messages_that_make_no_sense_are_named_and_survived(tmp_path: Path) -> None:
    with learner(tmp_path) as around:
        around.send_nonsense()
        for kind in ("Command", "Episode", "Potential"):
            wait_until(lambda k=kind: f"dropped {k}" in around.diagnostics, f"a diagnostic of {kind}")
            assert around.diagnostics[f"dropped {kind}"].message
        around.statuses.clear()
        around.until_status(lambda s: s.phase == LearnerStatus.IDLE, "still idle")


def test_evaluations_and_discarded_episodes_are_not_learned_from(
    bags: list[str], tmp_path: Path
) -> None:
    with learner(tmp_path) as around:
        around.train(bag_paths=bags, then_online=True)
        seconds = 10**9
        for name, kind, outcome in (
            ("evaluation", EpisodeKind.EVALUATION, Outcome.SUCCESS),
            ("discarded", EpisodeKind.ROLLOUT, Outcome.DISCARDED),
            ("rollout", EpisodeKind.ROLLOUT, Outcome.SUCCESS),
        ):
            around.send(play(name, around.now_ns() - 2 * seconds, kind=kind, outcome=outcome))
        around.until_status(lambda s: s.online_episodes >= 1, "one practice episode")
        assert around.statuses[-1].online_episodes == 1


def test_a_corrupt_encoder_is_refused_in_words(tmp_path: Path) -> None:
    encoder = tmp_path / "encoder.onnx"
    encoder.write_bytes(b"x" * 100)
    extra = ("-p", f"directory:={tmp_path}", "-p", f"encoder_path:={encoder}")
    with process("dopamine_rl_node.learner_node", "learner_node.yaml", extra=extra) as child:
        assert child.wait(40.0) == 2
        assert child.stderr is not None
        assert "LearnerError: expected an ONNX encoder" in child.stderr.read()
