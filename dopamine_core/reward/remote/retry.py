"""How long to wait before asking again: exponential back-off with jitter, and what the server asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: Statuses that may pass by themselves; besides them every 5xx.
PASSING_STATUSES = (408, 425, 429)


def may_pass(status: int) -> bool:
    """Whether an HTTP status may be another one when asked again."""
    return status in PASSING_STATUSES or 500 <= status <= 599


def pause_s(attempt: int, base_s: float, limit_s: float, chance: float, after_s: float | None) -> float:
    """Return the pause before the next attempt.

    Without a wish of the server it is drawn evenly from the upper half of the doubled base, so that robots which
    failed together do not come back together; never shorter than what the server asked for.

    :param attempt: how many attempts have failed, >= 1.
    :param base_s: pause after the first failure.
    :param limit_s: longest pause of our own choice.
    :param chance: random number in [0, 1).
    :param after_s: what the server asked for (Retry-After); None when it named nothing.
    """
    longest = min(limit_s, base_s * 2.0 ** min(attempt - 1, 60))
    drawn = longest * (0.5 + 0.5 * chance)
    return drawn if after_s is None else max(drawn, after_s)


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Read ``Retry-After`` (RFC 9110, 10.2.3): seconds or an HTTP date.

    :param headers: of the reply, names in lower case.
    :param now: present time with a zone; the clock's when left out.
    :returns: seconds >= 0; None when there is no readable wish.
    """
    text = headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        return _until(text, now or datetime.now(UTC))
    return seconds if math.isfinite(seconds) and seconds >= 0.0 else None


def _until(text: str, now: datetime) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())
