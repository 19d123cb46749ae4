"""Reward models that hang, raise or answer garbage: each affected decision says so, and the node answers on."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from dopamine_core.types import EpisodeState, Outcome, Status
from tests.ros.command_graph import process, ros, spinning, wait_until
from tests.ros.reward_graph import BAR, MODULE, PARAMETERS, Stranger

pytestmark = pytest.mark.ros
HANG_S = 3.0


@pytest.fixture(scope="module")
def graph() -> Iterator[Stranger]:
    with ros():
        stranger = Stranger()
        extra = (*BAR, "-p", "inference_timeout_s:=0.5")
        with spinning(stranger), process(MODULE, *PARAMETERS, extra=extra):
            stranger.until_status(Status.NO_TASK)
            assert stranger.set_task().success
            yield stranger


@pytest.fixture
def stranger(graph: Stranger) -> Iterator[Stranger]:
    graph.share = 0.0
    graph.potentials.clear()
    yield graph
    graph.episode(EpisodeState.IDLE, episode_id="")
    assert graph.load_model(name="bar").success  # the node lives, and takes another model
    graph.share = 0.0
    graph.until_status(Status.OK)


def close(stranger: Stranger, name: str) -> None:
    stranger.episode(EpisodeState.CLOSED, Outcome.TIME_LIMIT, episode_id=name)


def test_a_hang_is_told_in_answers_progress_and_diagnostics_and_passes(stranger: Stranger) -> None:
    assert stranger.load_model(name="hanging", path=str(HANG_S)).success
    stranger.run_episode([0.0, 0.3, 0.78], "hang")
    first, second, hung = stranger.potentials
    assert (first.status.code, second.status.code) == (Status.OK, Status.OK)
    assert hung.status.code == Status.MODEL_ERROR and math.isnan(hung.potential)
    assert "within 0.5 s" in hung.status.text and hung.progress == second.progress
    assert "inference_timeout_s" in stranger.until_status(Status.MODEL_ERROR).status.text
    wait_until(
        lambda: stranger.statuses.get("reward_node: reward model", (0,))[0] == 2,
        "an error in diagnostics",
    )
    stranger.share = 0.0  # not what it hangs at: once it is back it answers again
    stranger.until_status(Status.OK)
    stranger.show(0.5)
    stranger.decide(3, "hang")
    wait_until(lambda: len(stranger.potentials) == 4, "an answer after the hang")
    assert stranger.potentials[3].status.code == Status.OK
    close(stranger, "hang")


def test_another_model_can_be_loaded_while_one_hangs(stranger: Stranger) -> None:
    assert stranger.load_model(name="hanging", path="30").success
    stranger.run_episode([0.0, 0.78, 0.3], "stuck")
    codes = [a.status.code for a in stranger.potentials]
    assert codes == [Status.OK, Status.MODEL_ERROR, Status.MODEL_ERROR]
    assert "still computing" in stranger.potentials[2].status.text  # it is not asked twice at a time
    close(stranger, "stuck")
    assert stranger.load_model(name="bar").success
    stranger.run_episode([0.0, 0.3], "freed")
    assert [a.status.code for a in stranger.potentials[3:]] == [Status.OK] * 2
    close(stranger, "freed")


def test_garbage_is_invalid_and_never_a_number(stranger: Stranger) -> None:
    assert stranger.load_model(name="garbage").success
    stranger.run_episode([0.0, 0.3, 0.6], "garbage")
    codes = [a.status.code for a in stranger.potentials]
    assert codes == [Status.OK, Status.INVALID_HOP, Status.INVALID_HOP]
    assert all(math.isnan(a.potential) for a in stranger.potentials[1:])
    close(stranger, "garbage")


def test_a_model_that_runs_out_of_memory_costs_its_decisions_only(stranger: Stranger) -> None:
    assert stranger.load_model(name="failing").success
    stranger.run_episode([0.0, 0.3], "memory")
    assert [a.status.code for a in stranger.potentials] == [Status.OK, Status.MODEL_ERROR]
    assert "out of memory" in stranger.potentials[1].status.text
    close(stranger, "memory")
    assert stranger.load_model(name="bar").success
    stranger.run_episode([0.0, 0.3], "after")
    assert [a.status.code for a in stranger.potentials[2:]] == [Status.OK] * 2
    close(stranger, "after")
