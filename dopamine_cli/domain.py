"""Free ROS domains: a range of numbers in, one number held by this run until it ends out."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from dopamine_core.errors import GraphError

#: Above 100 the ports of a domain reach into Linux's ephemeral range; 0 is what everybody else uses.
DOMAINS = range(1, 101)
_PORT_BASE, _PORTS_PER_DOMAIN = 7400, 250  # RTPS 2.2, section 9.6.1.1


class DomainLock:
    """One ROS domain that no other run of this machine takes while the lock is held.

    :param domain_id: number of the domain.
    :param fd: open, locked file; a child that inherits it keeps the domain held.
    """

    def __init__(self, domain_id: int, fd: int) -> None:
        self.domain_id = domain_id
        self.fd = fd

    def release(self) -> None:
        """Give the domain back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def ports(domain_id: int) -> range:
    """Return the UDP ports that RTPS may use in a domain."""
    first = _PORT_BASE + _PORTS_PER_DOMAIN * domain_id
    return range(first, first + _PORTS_PER_DOMAIN)


def used_ports() -> frozenset[int]:
    """Return the UDP ports that are bound on this machine, by whomever."""
    found = set()
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        if Path(table).exists():
            rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
            found.update(int(row.split()[1].rpartition(":")[2], 16) for row in rows)
    return frozenset(found)


def take_domain(domain_id: int | None = None, *, folder: Path | None = None) -> DomainLock:
    """Hold a domain that is neither locked by another run nor spoken on by anybody.

    :param domain_id: take exactly this one, or fail; None searches from a start that differs per process.
    :param folder: where lock files lie; None takes the system's folder for temporary files.
    :raises GraphError: when the wanted domain, or every domain, is taken.
    """
    folder = folder or Path(tempfile.gettempdir())
    bound = used_ports()
    if domain_id is not None:
        return _must_take(domain_id, folder)
    start = os.getpid() % len(DOMAINS)
    for candidate in [*DOMAINS[start:], *DOMAINS[:start]]:
        if bound.isdisjoint(ports(candidate)) and (lock := _try_lock(candidate, folder)):
            return lock
    raise GraphError(
        expected=f"a free ROS domain in {DOMAINS.start}..{DOMAINS.stop - 1}",
        got="all of them taken",
        remedy="stop other ROS graphs on this machine, or choose a domain by ROS_DOMAIN_ID",
    )


def _must_take(domain_id: int, folder: Path) -> DomainLock:
    lock = _try_lock(domain_id, folder)
    if lock is None:
        raise GraphError(
            expected=f"ROS domain {domain_id} to be free",
            got="another run that holds it",
            remedy="end that run or choose another domain",
        )
    return lock


def _try_lock(domain_id: int, folder: Path) -> DomainLock | None:
    # One file per user: another user's graph shows by its ports.
    path = folder / f"dopamine_domain_{domain_id}_{os.getuid()}.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return DomainLock(domain_id, fd)
