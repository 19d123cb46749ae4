"""Pauses between attempts: a table and their laws."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.reward.remote.retry import may_pass, pause_s, retry_after_s

NOW = datetime(2026, 1, 2, 3, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempt", "chance", "after_s", "expected"),
    [
        (1, 0.0, None, 0.125),
        (1, 0.5, None, 0.1875),
        (3, 0.0, None, 0.5),
        (6, 0.0, None, 4.0),
        (7, 0.0, None, 4.0),  # the limit is 8 s
        (1, 0.0, 3.0, 3.0),
        (6, 0.0, 3.0, 4.0),  # what we would wait anyway
    ],
)
def test_pauses(attempt: int, chance: float, after_s: float | None, expected: float) -> None:
    assert pause_s(attempt, 0.25, 8.0, chance, after_s) == pytest.approx(expected)


@given(st.integers(1, 10**6), st.floats(0.0, 60.0), st.floats(0.0, 600.0), st.floats(0.0, 1.0, exclude_max=True))
def test_a_pause_never_exceeds_the_limit(attempt: int, base: float, limit: float, chance: float) -> None:
    assert 0.0 <= pause_s(attempt, base, limit, chance, None) <= limit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", 2.0),
        (" 0.5 ", 0.5),
        ("0", 0.0),
        ("Fri, 02 Jan 2026 03:04:10 GMT", 10.0),
        ("Fri, 02 Jan 2026 03:03:00 GMT", 0.0),
        ("-3", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ],
)
def test_what_the_server_asks_for(text: str, expected: float | None) -> None:
    assert retry_after_s({"retry-after": text}, NOW) == expected


@given(st.text())
def test_any_wish_is_read_or_not_there(text: str) -> None:
    seconds = retry_after_s({"retry-after": text}, NOW)
    assert seconds is None or seconds >= 0.0


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599])
def test_statuses_that_may_pass(status: int) -> None:
    assert may_pass(status)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 404, 413, 422, 600])
def test_statuses_that_last(status: int) -> None:
    assert not may_pass(status)
