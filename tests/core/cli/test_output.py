"""Output of commands: JSON lines parse, errors are short, exit codes are right."""

import json

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from dopamine_cli.live_display import LiveDisplay, sparkline
from dopamine_cli.live_state import LiveState
from dopamine_cli.output import JsonLines, JsonOption, Terminal, named_errors
from dopamine_core.errors import UnknownNameError

app = typer.Typer()


@app.command()
@named_errors
def fail(as_json: JsonOption = False) -> None:
    """Fail on purpose."""
    raise UnknownNameError(kind="task", name="juggle", known=["stack", "insert_peg"])


@app.command()
@named_errors
def stop(as_json: JsonOption = False) -> None:
    """Be interrupted."""
    raise KeyboardInterrupt


def test_an_error_is_text_without_traceback_and_exit_code_2():
    result = CliRunner().invoke(app, ["fail"])
    assert result.exit_code == 2
    assert "UnknownNameError" in result.stderr
    assert "insert_peg, stack" in result.stderr
    assert "Traceback" not in result.output


def test_an_error_is_one_json_line_when_asked():
    result = CliRunner().invoke(app, ["fail", "--json"])
    assert result.exit_code == 2
    error = json.loads(result.stdout)
    assert error["event"] == "error"
    assert error["kind"] == "UnknownNameError"
    assert error["got"] == "'juggle'"


def test_ctrl_c_ends_with_130():
    assert CliRunner().invoke(app, ["stop"]).exit_code == 130


def test_json_bars_end_with_the_whole(capsys):
    with JsonLines().bar("adapting") as advance:
        for step in range(11):
            advance(step / 10, "pass")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["fraction"] == 1.0
    assert len(lines) < 11


@pytest.mark.parametrize("is_terminal", [True, False])
def test_bars_may_nest(is_terminal):
    with open("/dev/null", "w") as file:
        output = Terminal(Console(file=file, force_terminal=is_terminal, width=80))
        with output.bar("demonstrations") as outer:
            outer(0.5, "1 of 2")
            with output.bar("recording") as inner:
                inner(0.2, "10 decisions")
                output.event("note", "in between")


def test_missing_numbers_are_null(capsys):
    JsonLines().event("reading", "", progress=float("nan"))
    assert json.loads(capsys.readouterr().out)["progress"] is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 1.0], "▁█"), ([0.5, None], "▄·"), ([], ""), ([2.0, -1.0], "█▁")],
)
def test_sparkline(values, expected):
    assert sparkline(values) == expected


def record(state, name="a", **fields):
    return {
        "state": state,
        "episode_id": name,
        "kind": 2,
        "outcome": 0,
        "start_stamp_ns": 1_000_000_000,
        "end_stamp_ns": 0,
        **fields,
    }


def test_the_screen_follows_an_episode():
    state = LiveState()
    state.on_episode(record(1))
    status = {"code": 0, "text": ""}
    state.on_progress(
        {"status": status, "progress": 0.4, "model": {"name": "nano", "adapted": True}}
    )
    state.on_reward({"episode_id": "a", "total": 0.25})
    state.on_reward({"episode_id": "other", "total": 9.0})
    state.on_reward({"episode_id": "a", "total": float("nan")})  # a transition that is not whole
    state.on_truth({"episode_id": "a", "success": False})
    closed = record(2, outcome=1, end_stamp_ns=3_500_000_000)
    state.on_episode(closed)
    state.on_episode(closed)  # latched topics may repeat
    (ended,) = state.ended
    assert (ended.success, ended.true_success, ended.return_total) == (True, False, 0.25)
    assert ended.duration_s == 2.5
    assert state.counts == {"rollout": 1}

    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(LiveDisplay(state, 300.0, console)._render())
    text = console.export_text()
    assert "1 rollout (1 succeeded)" in text
    assert "no success" in text
    assert "nano (adapted)" in text


def test_the_screen_says_what_the_learner_waits_for():
    state = LiveState()
    learner = {"phase": 1, "gradient_steps": 5, "policy_version": 2, "updates_per_second": 0.0}
    state.on_learner({**learner, "waiting_for": "more transitions"})
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(LiveDisplay(state, 300.0, console)._render())
    assert "waiting for more transitions" in console.export_text()
