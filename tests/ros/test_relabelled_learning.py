"""A learner and the relabel node in processes of their own: only whole relabelled episodes are learned from."""

from __future__ import annotations

from pathlib import Path

import pytest
from dopamine_msgs.action import Train
from dopamine_msgs.msg import LearnerStatus

from tests.core.episodes.hand_made import START
from tests.core.reward.recorded import closed, write_bar_episode
from tests.core.rl.constant_policy import mean_colour_encoder
from tests.ros.command_graph import process, wait_until
from tests.ros.relabel_graph import DAY, SHARES, around, relabel, write_run

pytestmark = pytest.mark.ros


def test_a_learner_takes_only_whole_relabelled_episodes_and_says_what_it_waits_for(
    tmp_path: Path,
) -> None:
    run = write_run(tmp_path)
    encoder = run / "encoder.onnx"
    encoder.write_bytes(mean_colour_encoder())
    settings = {
        "directory": run,
        "labels": "relabelled",
        "encoder_path": encoder,
        "encoder_name": "mean_colour",
        "agent.hidden": "[16, 16]",
        "learner.batch_size": 16,
        "learner.offline_steps": 20,
        "observation.proprioception": "[position, contact]",
        "worker.publish_updates": 1000,
    }
    extra = tuple(part for k, v in settings.items() for part in ("-p", f"{k}:={v}"))
    episodes = run / "episodes"

    def until(words: str, **counts: int) -> LearnerStatus:
        def fits(status: LearnerStatus) -> bool:
            right = all(getattr(status, name) == value for name, value in counts.items())
            return right and words in status.waiting_for

        wait_until(lambda: any(map(fits, node.learner[-2:])), f"{words!r} {counts}", 30.0)
        return next(filter(fits, reversed(node.learner)))

    with (
        around() as node,
        process("dopamine_rl_node.learner_node", "learner_node.yaml", extra=extra),
    ):
        assert node.train.wait_for_server(40.0)
        goal = Train.Goal(bag_paths=[str(episodes / "2026a_demo.mcap")], then_online=True)
        sent = node.train.send_goal_async(goal)
        until("relabelled potentials of 2026a_demo.mcap", offline_episodes=0)
        taken_back = sent.result().get_result_async()
        sent.result().cancel_goal_async()
        wait_until(taken_back.done, "the cancellation", 20.0)
        assert taken_back.result().result.code == Train.Result.CANCELLED
        sent = node.train.send_goal_async(goal)
        with relabel(run):
            wait_until(sent.done, "the goal to be taken")
            ended = sent.result().get_result_async()
            wait_until(ended.done, "training to end", 40.0)
            assert ended.result().result.code == Train.Result.OK
            # The rollout that closed before anybody was up is practice, too.
            until("", offline_episodes=1, online_episodes=1, dropped_transitions=0)
        late = closed("2026c_roll", START + 2 * DAY, 12, bag=episodes / "2026c_roll.mcap")
        node.close_episode(late)
        write_bar_episode(episodes, "2026c_roll", SHARES, start_ns=START + 2 * DAY)
        until("relabelled potentials of 1 episode(s), 2026c_roll closed", online_episodes=1)
        with relabel(run):
            until("", online_episodes=2)
            assert "2026c_roll" not in until("practice", online_episodes=2).waiting_for
