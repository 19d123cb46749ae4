"""``dopamine doctor``: this machine in, what is missing and what to do about it out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

from dopamine_cli import doctor_checks as checks
from dopamine_cli.doctor_checks import Finding
from dopamine_cli.output import EXIT_ERROR, JsonOption, make_output, named_errors

COLUMNS = ("check", "state", "expected", "got", "what to do")
CHECKS: tuple[Callable[[], Finding], ...] = (
    checks.check_python,
    checks.check_wheels,
    checks.check_messages,
    checks.check_renderer,
    checks.check_onnxruntime,
    checks.check_torch,
    checks.check_shared_memory,
    checks.check_transport,
    lambda: checks.check_disk(Path.cwd()),
)


@named_errors
def doctor(as_json: JsonOption = False) -> None:
    """Check this machine; exit code 2 when something is missing."""
    output = make_output(as_json)
    findings = []
    with output.bar("checks") as advance:
        for number, finding in enumerate(run_doctor(), start=1):
            findings.append(finding)
            advance(number / len(CHECKS), finding.name)
    output.table("doctor", COLUMNS, [row(finding) for finding in findings])
    if not all(finding.ok for finding in findings):
        raise typer.Exit(EXIT_ERROR)


def run_doctor() -> Iterator[Finding]:
    """Run the checks one after the other, each yielded when it is done."""
    for check in CHECKS:
        yield check()


def row(finding: Finding) -> dict[str, Any]:
    """Return one row of the table."""
    state = "missing" if not finding.ok else "warning" if finding.warning else "ok"
    words = (finding.name, state, finding.expected, finding.got, finding.remedy or "-")
    return dict(zip(COLUMNS, words, strict=True))
