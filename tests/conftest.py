"""Every test module gets ROS to itself: a domain that no other run speaks on, on this machine alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Two cores are shared by whole graphs; set before numpy or torch is imported, and inherited by every process.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from dopamine_cli import shared_memory
from dopamine_cli.domain import take_domain
from dopamine_cli.environment import ros_environment

HERE = Path(__file__).resolve().parent


def pytest_configure(config: pytest.Config) -> None:
    """Use the suite's transports and quiet logs whatever the caller's shell says."""
    ours = ros_environment()
    for name in ("RMW_IMPLEMENTATION", "ROS_AUTOMATIC_DISCOVERY_RANGE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
        os.environ[name] = ours[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the folder they lie in, so that ``-m "core or setup"`` chooses."""
    for item in items:
        item.add_marker(item.path.relative_to(HERE).parts[0])


@pytest.fixture(scope="module", autouse=True)
def ros_domain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Hold a private ROS domain for one test module; processes that it starts inherit it.

    :returns: number of the domain, also in ``ROS_DOMAIN_ID``.
    """
    lock = take_domain()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(lock.domain_id))
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.getbasetemp() / "ros_logs"))
        yield lock.domain_id
    lock.release()


def pytest_sessionfinish() -> None:
    """Give back the shared memory of nodes that tests killed without a warning."""
    shared_memory.remove(shared_memory.abandoned())
