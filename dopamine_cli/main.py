"""The ``dopamine`` command: words of a person in, one command each out."""

from __future__ import annotations

import typer

from dopamine_cli.adapt import adapt
from dopamine_cli.check import check
from dopamine_cli.demo import demo
from dopamine_cli.doctor import doctor
from dopamine_cli.grm import grm
from dopamine_cli.models import models
from dopamine_cli.nano import nano
from dopamine_cli.record import record
from dopamine_cli.report import report
from dopamine_cli.sarm import sarm
from dopamine_cli.score import score
from dopamine_cli.serve import serve
from dopamine_cli.train import train

app = typer.Typer(
    name="dopamine",
    help="Learn on the real arm from one demonstration.",
    epilog="Every command takes --json. A named error ends with exit code 2, Ctrl-C with 130; nothing stays running.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
for command in (demo, record, adapt, train, score, report, check, models, serve, doctor):
    app.command()(command)
app.add_typer(nano, name="nano")
app.add_typer(grm, name="grm")
app.add_typer(sarm, name="sarm")


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
