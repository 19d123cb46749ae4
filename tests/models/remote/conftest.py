"""A fake server on loopback for every test of this folder."""

from collections.abc import Iterator

import pytest

from tests.models.remote.fake_server import FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that answers at once until a test says otherwise."""
    with FakeServer() as running:
        yield running
