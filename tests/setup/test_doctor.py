"""The doctor: every finding says what was expected, what came and what to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dopamine_cli import doctor, doctor_checks, shared_memory
from dopamine_cli.doctor_checks import Finding
from dopamine_cli.main import app

FAST = (
    doctor_checks.check_python,
    doctor_checks.check_wheels,
    doctor_checks.check_messages,
    doctor_checks.check_onnxruntime,
    doctor_checks.check_shared_memory,
)


@pytest.mark.parametrize("check", FAST)
def test_this_environment_passes(check) -> None:
    finding = check()
    assert finding.ok, finding
    assert finding.expected and finding.got


def test_the_renderer_draws_what_it_should() -> None:
    finding = doctor_checks.check_renderer()
    assert finding.ok, finding
    assert "ms per 640x480 frame" in finding.got


@pytest.mark.parametrize(
    ("version", "ok"), [((3, 10, 13), False), ((3, 11, 0), True), ((3, 12, 9), True), ((3, 13, 0), False)]
)
def test_python_versions(monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], ok: bool) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    finding = doctor_checks.check_python()
    assert finding.ok is ok
    assert bool(finding.remedy) is not ok


@pytest.mark.parametrize(
    ("free_mib", "ok", "words"),
    [(4096, True, "4096 MiB free"), (200, True, "segments of 8 MiB will be used"), (50, False, "50 MiB free")],
)
def test_small_shared_memory_is_named(
    monkeypatch: pytest.MonkeyPatch, free_mib: int, ok: bool, words: str
) -> None:
    monkeypatch.setattr(shared_memory, "free_bytes", lambda: free_mib * 2**20)
    monkeypatch.setattr(shared_memory, "abandoned", lambda: [])
    finding = doctor_checks.check_shared_memory()
    assert (finding.ok, finding.warning) == (ok, free_mib == 200)
    assert words in finding.got
    assert ("--shm-size" in finding.remedy) is (free_mib < 4096)


def test_files_of_the_dead_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_memory, "abandoned", lambda: ["fastrtps_0123456789abcdef"])
    finding = doctor_checks.check_shared_memory()
    assert finding.ok and finding.warning
    assert "1 abandoned files" in finding.got and "fastrtps_0123456789abcdef" in finding.remedy


def test_a_broken_library_is_reported_not_raised() -> None:
    seen = doctor_checks._run("raise OSError('no libEGL.so.1')")
    assert seen == (False, "OSError: no libEGL.so.1")
    ok, words = doctor_checks._run("import os; os.abort()")
    assert not ok and words


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor_checks, "DISK_GIB", 1e9)
    finding = doctor_checks.check_disk(tmp_path)
    assert not finding.ok and "--run-dir" in finding.remedy


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 2)])
def test_the_command_tells_programs_too(monkeypatch: pytest.MonkeyPatch, ok: bool, code: int) -> None:
    findings = (Finding("a", True, "x", "y"), Finding("b", ok, "x", "z", "" if ok else "do it"))
    monkeypatch.setattr(doctor, "CHECKS", tuple(lambda one=finding: one for finding in findings))
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == code
    rows = [row for row in map(json.loads, result.output.splitlines()) if row["event"] == "doctor"]
    assert [row["state"] for row in rows] == ["ok", "ok" if ok else "missing"]
    assert rows[1]["what to do"] == ("-" if ok else "do it")
