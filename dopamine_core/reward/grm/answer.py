"""The model's text comes in, a hop in [-1, 1] or None goes out; None is INVALID, never the number 0.

Asked for an integer, published weights answer one decimal with a sign (zero without one): ``<score>+12.5%</score>``.
Small ones are known to run on, ``<score>-25.0.0.5.6...``: what follows a number must close it.
"""

from __future__ import annotations

import re

OPEN, CLOSE = "<score>", "</score>"
# ASCII digits only: other scripts' digits would pass \d and float().
_SCORE = re.compile(r"\s*([+-]?[0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%?\s*\Z")
_LARGEST = 100.0


def read_hop(text: str) -> float | None:
    """Read a GRM's answer.

    Valid is exactly: the text between the last ``<score>`` and the ``</score>`` that follows it is an ASCII integer or
    decimal (at most three digits before and six after the point), optionally signed, optionally followed by ``%``,
    white space aside, of magnitude 100 at most. Nothing else is.

    :param text: decoded answer, with the opening tag.
    :returns: hop in [-1, 1]; None when there is none to read.
    """
    _, opened, rest = text.rpartition(OPEN)
    inside, closed, _ = rest.partition(CLOSE)
    found = _SCORE.match(inside) if opened and closed else None
    if found is None:
        return None
    score = float(found[1])
    return score / _LARGEST if abs(score) <= _LARGEST else None


def write_hop(hop: float) -> str:
    """Write the answer that training asks for: one decimal, signed, zero without a sign.

    :param hop: in [-1, 1].
    """
    score = round(_LARGEST * hop, 1)
    return f"{OPEN}{score:+.1f}%{CLOSE}" if score else f"{OPEN}0.0%{CLOSE}"
