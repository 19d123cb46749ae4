"""Domains: parallel runs never share one."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dopamine_cli.domain import DOMAINS, ports, take_domain, used_ports
from dopamine_core.errors import GraphError


def test_ports_stay_below_the_ephemeral_range() -> None:
    assert ports(0).start == 7400
    assert max(ports(DOMAINS[-1])) < 32768  # Linux's default ip_local_port_range


def test_two_runs_get_two_domains(tmp_path: Path) -> None:
    locks = [take_domain(folder=tmp_path) for _ in range(5)]
    assert len({lock.domain_id for lock in locks}) == 5
    locks[0].release()
    assert take_domain(locks[0].domain_id, folder=tmp_path).domain_id == locks[0].domain_id


def test_a_held_domain_is_refused(tmp_path: Path) -> None:
    lock = take_domain(folder=tmp_path)
    with pytest.raises(GraphError, match=f"ROS domain {lock.domain_id} to be free"):
        take_domain(lock.domain_id, folder=tmp_path)


def test_another_process_sees_the_lock_and_its_death_frees_it(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from dopamine_cli.domain import take_domain;"
        "print(take_domain(50, folder=pathlib.Path(sys.argv[1])).domain_id, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline().strip() == "50"
        with pytest.raises(GraphError):
            take_domain(50, folder=tmp_path)
        other.kill()
        other.wait()
    assert take_domain(50, folder=tmp_path).domain_id == 50


def test_a_domain_that_somebody_speaks_on_is_skipped(tmp_path: Path) -> None:
    first = take_domain(folder=tmp_path)
    first.release()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
        speaker.bind(("127.0.0.1", ports(first.domain_id)[11]))
        assert ports(first.domain_id)[11] in used_ports()
        assert take_domain(folder=tmp_path).domain_id != first.domain_id


def test_no_domain_left_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dopamine_cli.domain.DOMAINS", range(1, 4))
    taken = [take_domain(folder=tmp_path) for _ in range(3)]
    with pytest.raises(GraphError, match="a free ROS domain in 1..3.*stop other ROS graphs"):
        take_domain(folder=tmp_path)
    assert sorted(lock.domain_id for lock in taken) == [1, 2, 3]
