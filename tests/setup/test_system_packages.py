"""System packages: installed where that is allowed, else the exact command is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts import system_packages
from scripts.steps import SetupError
from scripts.system_packages import Need, ensure, needs


class Machine:
    """A machine that lacks cmake until its apt-get, a script that writes down its calls, has run."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self._installed = folder / "calls", folder / "installed"
        self._tool = folder / "apt-get"
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(system_packages, "needs", self.needs)

    def needs(self) -> list[Need]:
        return [Need("cmake", "cmake", self._installed.exists()), Need("make", "make", True)]

    def give_apt(self, *, works: bool) -> None:
        last = f"touch {self._installed}" if works else "true"
        self._tool.write_text(f'#!/bin/sh\necho "$@" >> {self.calls}\n{last}\n')
        self._tool.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_root_installs_only_what_is_missing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    machine.give_apt(works=True)
    ensure()
    assert machine.calls.read_text().splitlines() == ["update -q", "install -q -y cmake"]
    ensure()  # all there: apt-get is not asked again
    assert len(machine.calls.read_text().splitlines()) == 2


def test_others_are_told_the_command(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machine.give_apt(works=True)
    with pytest.raises(SetupError, match="sudo apt-get update && sudo apt-get install -y cmake$"):
        ensure()
    assert not machine.calls.exists()


def test_a_package_that_does_not_help_is_an_error(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    machine.give_apt(works=False)
    with pytest.raises(SetupError, match="still lacks cmake"):
        ensure()


def test_this_machine_has_everything() -> None:
    assert [need for need in needs() if not need.present] == []
