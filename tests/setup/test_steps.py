"""Set-up steps: one runs when its inputs changed, after it every later one, and never otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.steps import Step, digest, run_all


class Log:
    """Steps that write down that they ran."""

    def __init__(self, folder: Path) -> None:
        self.stamps = folder / "stamps"
        self.source = folder / "source"
        self.source.mkdir()
        (self.source / "a.msg").write_text("int32 x")
        self.fails = False

    def run(self, *, torch: str = "cpu") -> list[str]:
        steps = [
            Step("wheels", "", (torch,), lambda: None),
            Step("messages", "", (self.source,), self._build),
            Step("package", "", (), lambda: None),
        ]
        return run_all(steps, self.stamps)

    def _build(self) -> None:
        if self.fails:
            raise RuntimeError("no compiler")


def test_only_what_changed_and_what_follows_runs(tmp_path: Path) -> None:
    log = Log(tmp_path)
    assert log.run() == ["wheels", "messages", "package"]
    assert log.run() == []
    (log.source / "a.msg").write_text("int64 x")
    assert log.run() == ["messages", "package"]
    (log.source / "b.msg").write_text("int32 x")
    assert log.run() == ["messages", "package"]
    assert log.run(torch="cuda") == ["wheels", "messages", "package"]
    assert log.run(torch="cuda") == []


def test_a_step_that_failed_runs_again(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.run()
    (log.source / "a.msg").write_text("broken")
    log.fails = True
    with pytest.raises(RuntimeError):
        log.run()
    log.fails = False
    assert log.run() == ["messages", "package"]


def test_digest_sees_names_contents_and_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("1")
    digests = [digest([one]), digest([two]), digest([one, two]), digest([two, one]), digest(["1"]), digest([one], "b")]
    assert len(set(digests)) == len(digests)
    assert digest([one]) == digests[0]
