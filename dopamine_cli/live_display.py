"""Live state of the demo in, one terminal screen out: phase, bars, progress, outcomes, learner."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from dopamine_cli.live_state import LiveState
from dopamine_cli.output import Advance

BLOCKS = " ▁▂▃▄▅▆▇█"
PHASES = ("idle", "waiting", "loading", "offline", "online", "failed")


class LiveDisplay:
    """Terminal output that keeps a picture of the run at the bottom; events scroll above it.

    :param state: what the subscriptions write.
    :param total_s: wall time of the whole run.
    """

    def __init__(self, state: LiveState, total_s: float, console: Console | None = None) -> None:
        self._state, self._total_s, self._start_s = state, total_s, time.monotonic()
        self._stage = "starting"
        columns = (
            TextColumn("  {task.description:<22}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[words]}", markup=False),
        )
        self._bars = Progress(*columns)
        self._live = Live(
            get_renderable=self._render, console=console, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def event(self, name: str, text: str, /, **fields: Any) -> None:
        """Scroll a line past; a stage changes the title too."""
        if name == "stage":
            self._stage = text
        elapsed = time.monotonic() - self._start_s
        self._live.console.print(f"[dim]{elapsed:6.1f} s[/]  ", Text(text), sep="", highlight=False)

    @contextmanager
    def bar(self, title: str) -> Iterator[Advance]:
        """Show a bar while the context is open."""
        task: TaskID = self._bars.add_task(title, total=1.0, words="")

        def advance(fraction: float, words: str = "") -> None:
            self._bars.update(task, completed=fraction, words=words)

        try:
            yield advance
        finally:
            self._bars.remove_task(task)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Print rows above the picture."""
        for row in rows:
            self.event(name, "  ".join(f"{column} {row.get(column)}" for column in columns))

    def _render(self) -> RenderableType:
        state = self._state.snapshot()
        elapsed = time.monotonic() - self._start_s
        title = f"{self._stage}   {elapsed / 60:.1f} of {self._total_s / 60:.0f} min"
        body = Group(
            progress_line(state),
            episode_line(state),
            learner_line(state),
            self._bars,
            *warnings(state),
        )
        return Group(
            episode_table(state), Panel(body, title=title, title_align="left", border_style="blue")
        )


def progress_line(state: LiveState) -> Text:
    """Progress of the last two seconds or so as a row of blocks."""
    newest = next((value for value in reversed(state.progress) if value is not None), None)
    words = "no reading yet" if newest is None else f"{newest:.2f}"
    line = Text.assemble(
        ("  progress  ", "bold"), (sparkline(list(state.progress)), "cyan"), f"  {words}"
    )
    if state.status_text:
        line.append(f"  {state.status_text}", style="yellow")
    return line


def sparkline(values: Sequence[float | None]) -> str:
    """One block per value in [0, 1]; a missing reading is a dot."""
    top = len(BLOCKS) - 1
    return "".join(
        "·" if value is None else BLOCKS[min(top, max(1, round(value * top)))] for value in values
    )


def episode_line(state: LiveState) -> Text:
    """Counts per kind and the reward so far."""
    counts = [
        f"{count} {kind}{'s' if count != 1 else ''} ({state.successes.get(kind, 0)} succeeded)"
        for kind, count in state.counts.items()
    ]
    words = ", ".join(counts) or "no episode yet"
    return Text.assemble(
        ("  episodes  ", "bold"),
        f"{words}; reward {state.reward_sum:+.2f}; model {state.model or '-'}",
    )


def learner_line(state: LiveState) -> Text:
    """Phase, steps, and what it waits for."""
    learner = state.learner
    if not learner:
        return Text.assemble(("  learner   ", "bold"), "not heard yet")
    words = (
        f"{PHASES[learner['phase']]}, {learner['gradient_steps']} steps, policy {learner['policy_version']}, "
        f"{learner['updates_per_second']:.1f} updates/s"
    )
    line = Text.assemble(("  learner   ", "bold"), words)
    if learner["waiting_for"]:
        line.append(f"  waiting for {learner['waiting_for']}", style="yellow")
    return line


def episode_table(state: LiveState) -> Table:
    """The last few episodes."""
    table = Table(box=None, padding=(0, 2))
    for column in ("kind", "outcome", "truth", "progress", "reward", "seconds"):
        table.add_column(column, style=None)
    for ended in state.ended:
        truth = {True: "success", False: "no success", None: "-"}[ended.true_success]
        progress = "-" if ended.final_progress is None else f"{ended.final_progress:.2f}"
        style = "green" if ended.success else None
        seconds = f"{ended.duration_s:.1f}"
        reward = f"{ended.return_total:+.2f}"
        table.add_row(ended.kind, ended.outcome, truth, progress, reward, seconds, style=style)
    return table


def warnings(state: LiveState) -> list[Text]:
    """At most three warnings of the graph."""
    items = list(state.warnings.items())[:3]
    return [Text(f"  {name}: {message}", style="yellow") for name, message in items]
