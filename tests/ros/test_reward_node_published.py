"""The reward node with published architectures on real topics: one parameter swaps the model, a bad one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dopamine_core.types import EpisodeState, Outcome, Status
from dopamine_ros.convert.stamps import to_ns
from tests.models.robometer.tiny_robometer import tensors_of, write_base, write_upstream
from tests.models.tiny_qwen import write_qwen2_5
from tests.ros.command_graph import process, ros, spinning, wait_until
from tests.ros.reward_graph import PARAMETERS, Stranger

pytestmark = pytest.mark.ros
MODULE = "dopamine_reward_node.reward_node"
SHARES = (0.0, 0.3, 0.6, 1.0)


def episode(stranger: Stranger, name: str) -> list[Status]:
    """Run an episode of four decisions and wait for its answers."""
    stranger.potentials.clear()
    stranger.episode(EpisodeState.OPEN, episode_id=name)
    decisions = []
    for index, share in enumerate(SHARES):
        stranger.show(share)
        decisions.append(stranger.decide(index, name))
    stranger.episode(EpisodeState.CLOSED, Outcome.TIME_LIMIT, episode_id=name)
    wait_until(lambda: len(stranger.potentials) == len(SHARES), "all potentials", 40.0)
    assert [to_ns(p.header.stamp) for p in stranger.potentials] == [d.stamp_ns for d in decisions]
    return [Status(p.status.code) for p in stranger.potentials]


def test_one_parameter_swaps_a_grm_for_robometer_and_a_damaged_one_is_refused(
    tmp_path: Path,
) -> None:
    settings = tmp_path / "grm.yaml"
    # Random weights put no probability on score strings: any share counts here.
    settings.write_text(
        f"path: {write_qwen2_5(tmp_path / 'grm')}\nmin_mass: 0.0\nmax_pixels: 12544\n"
    )
    base = write_base(tmp_path / "base")
    checkpoint = write_upstream(tmp_path / "checkpoint", base, tensors_of(base))
    robometer = tmp_path / "robometer.yaml"
    robometer.write_text(f"path: {checkpoint}\nbase: {base}\n")
    damaged = write_qwen2_5(tmp_path / "damaged")
    shard = sorted(damaged.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-100])
    extra = ("-p", "model_name:=grm", "-p", f"model_path:={settings}")
    with ros():
        stranger = Stranger()
        with spinning(stranger), process(MODULE, *PARAMETERS, extra=extra):
            stranger.until_status(Status.NO_TASK, timeout_s=60.0)
            assert stranger.set_task().success
            stranger.until_status(Status.OK)
            assert episode(stranger, "e1") == [Status.OK] * 4
            assert {p.model.name for p in stranger.potentials} == {"grm+own"}

            refused = stranger.load_model(name="grm", path=str(damaged))
            assert not refused.success and shard.name in refused.message

            loaded = stranger.load_model(name="robometer", path=str(robometer))
            assert loaded.success, loaded.message
            assert episode(stranger, "e2") == [Status.OK] * 4
            assert {p.model.name for p in stranger.potentials} == {"robometer+own"}
            assert all(0.0 <= p.success_probability <= 1.0 for p in stranger.potentials)
