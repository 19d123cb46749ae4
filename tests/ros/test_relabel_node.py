"""The relabel node in its own process, judged by its topics."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from dopamine_core.types import Status
from tests.core.episodes.hand_made import START
from tests.core.reward.recorded import closed, write_bar_episode
from tests.ros.command_graph import wait_until
from tests.ros.relabel_graph import DAY, SHARES, around, relabel, write_run

pytestmark = pytest.mark.ros


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path)


def test_episodes_are_relabelled_whole_kept_and_not_computed_twice(run: Path) -> None:
    episodes = run / "episodes"
    with around() as node:
        with relabel(run):
            old = node.until_set("2026b_roll")  # closed while the node was down
            assert (old.status.code, old.model.name) == (Status.OK, "better")
            assert [p.index for p in old.potentials] == list(range(len(SHARES)))
            assert [p.reading[1] for p in old.potentials] == pytest.approx(SHARES, abs=0.04)
            assert {p.model.sha256 for p in old.potentials} == {"be77e2"}

            late = closed("2026c_roll", START + 2 * DAY, 12, bag=episodes / "2026c_roll.mcap")
            node.close_episode(late)  # its recording is not finished yet
            write_bar_episode(episodes, "2026c_roll", SHARES, start_ns=START + 2 * DAY)
            assert len(node.until_set("2026c_roll").potentials) == len(SHARES)

            lost = closed("2026d_roll", START + 3 * DAY, 12, bag=episodes / "2026d_roll.mcap")
            node.close_episode(lost)
            refusal = node.until_set("2026d_roll")
            assert refusal.status.code != Status.OK and not refusal.potentials
            assert "2026d_roll.mcap" in refusal.status.text

            write_bar_episode(episodes, "2026e_roll", [0.0, 0.85], start_ns=START + 4 * DAY)
            broken = node.until_set("2026e_roll")
            assert "out of memory" in broken.status.text and not broken.potentials

            (episodes / "2026f_roll.mcap").write_bytes(b"not a bag")
            assert "2026f_roll.mcap" in node.until_set("2026f_roll").status.text

            before = len(node.sets)
            node.listen()  # a late joiner gets what was published before
            wait_until(lambda: len(node.sets) >= 2 * before, "the sets again")
        node.sets.clear()
        (episodes / "2026e_roll.mcap").unlink()
        (episodes / "2026f_roll.mcap").unlink()
        with relabel(run, seconds=60.0):  # it could not compute one of them in time
            assert len(node.until_set("2026c_roll").potentials) == len(SHARES)
            name = "relabel_node: relabelling"
            wait_until(lambda: node.figures.get(name, {}).get("read") == "3", "three read")
            assert node.figures[name]["relabelled"] == "0"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGKILL, -9)])
def test_an_end_in_mid_episode_leaves_nothing_half_and_the_next_start_goes_on(
    run: Path, number: int, code: int
) -> None:
    with around() as node:
        with relabel(run, seconds=30.0) as child:
            name = "relabel_node: relabelling"
            wait_until(
                lambda: "of" in node.figures.get(name, {}).get("answered", ""), "work on an episode"
            )
            assert node.figures[name]["backlog"] == "1"
            child.send_signal(number)
            assert child.wait(timeout=8.0) == code  # it does not wait for the inference
            left = [path for path in (run / "episodes").iterdir() if path.suffix != ".mcap"]
            assert left == [] and node.sets == []
        with relabel(run):
            for episode_id in ("2026a_demo", "2026b_roll"):
                assert len(node.until_set(episode_id).potentials) == len(SHARES)
