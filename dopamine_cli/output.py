"""What a command has to say in, terminal text or JSON lines out; errors end as a short text and exit code 2."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Protocol, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dopamine_core.errors import DopamineError
from dopamine_core.evaluation.run_log import finite

Command = TypeVar("Command", bound=Callable[..., Any])
Advance = Callable[[float, str], None]  # fraction in [0, 1], words
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object per line instead of text.")
]
EXIT_ERROR, EXIT_INTERRUPTED = 2, 130
JSON_PERIOD_S = 0.5
TEXT_PERIOD_S = 10.0


class Output(Protocol):
    """Where a command's words go."""

    def event(self, name: str, text: str, /, **fields: Any) -> None:
        """Say that something happened: ``text`` for people, ``fields`` for programs."""

    def bar(self, title: str) -> Any:
        """Open a progress bar: a context manager that yields an :data:`Advance`."""

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Show rows; columns are keys of each row."""


class JsonLines:
    """One JSON object per line on standard output, each with its ``event``."""

    def event(self, name: str, text: str, /, **fields: Any) -> None:
        """Write one line."""
        line = json.dumps({**finite(fields), "event": name, "text": text}, default=str)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    @contextmanager
    def bar(self, title: str) -> Iterator[Advance]:
        """Write at most two lines per second, and the last one."""
        last = 0.0

        def advance(fraction: float, words: str = "") -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= JSON_PERIOD_S or fraction >= 1.0:
                last = now
                self.event("progress", words, title=title, fraction=round(fraction, 4))

        yield advance

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Write one line per row."""
        for row in rows:
            self.event(name, "", **{column: row.get(column) for column in columns})


class Terminal:
    """Rich text on standard output."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)

    def event(self, name: str, text: str, /, **fields: Any) -> None:
        """Print the text."""
        if text:
            self.console.print(text, markup=False)

    @contextmanager
    def bar(self, title: str) -> Iterator[Advance]:
        """Draw a bar while the context is open; in a file or pipe write a line now and then."""
        if not self.console.is_terminal:
            yield self._lines(title)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[words]}", markup=False),
        )
        with Progress(*columns, console=self.console) as progress:
            task = progress.add_task(title, total=1.0, words="")

            def advance(fraction: float, words: str = "") -> None:
                progress.update(task, completed=fraction, words=words)

            yield advance

    def _lines(self, title: str) -> Advance:
        last = time.monotonic()

        def advance(fraction: float, words: str = "") -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= TEXT_PERIOD_S:
                last = now
                self.console.print(f"{title}: {fraction:.0%} {words}", markup=False)

        return advance

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
        """Print a table."""
        table = Table(*columns, title=name)
        for row in rows:
            table.add_row(*[_cell(row.get(column)) for column in columns])
        self.console.print(table)


def make_output(as_json: bool) -> Output:
    """Choose between people and programs."""
    return JsonLines() if as_json else Terminal()


def named_errors(command: Command) -> Command:
    """Decorate a command: a :class:`DopamineError` becomes one short text (or JSON line) and exit code 2."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except DopamineError as error:
            _say_error(error, bool(kwargs.get("as_json", False)))
            raise typer.Exit(EXIT_ERROR) from None
        except KeyboardInterrupt:
            raise typer.Exit(EXIT_INTERRUPTED) from None

    return run  # type: ignore[return-value]


def _say_error(error: DopamineError, as_json: bool) -> None:
    kind = type(error).__name__
    if as_json:
        fields = {"expected": error.expected, "got": error.got, "remedy": error.remedy}
        JsonLines().event("error", str(error), kind=kind, **fields)
        return
    console = Console(stderr=True, highlight=False)
    console.print(f"[bold red]{kind}[/]")
    for name, text in (
        ("expected", error.expected),
        ("got", error.got),
        ("what to do", error.remedy),
    ):
        console.print(f"  {name}: {text}", markup=False)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
