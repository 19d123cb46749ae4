"""A RoboReward's text comes in, a score of 1 ... 5 or None goes out; None is INVALID, never the score 1.

The model is asked for ``ANSWER: 3``. It scores the end of the video it was shown: 1 is no success, 5 is perfect.
"""

from __future__ import annotations

import re

SCORES = (1, 2, 3, 4, 5)
# A whole number only: not 4.5, 4/5, 3-4 or 45. ASCII digits: other scripts' digits would pass \d and int().
_ANSWER = re.compile(r"ANSWER:\s*([0-9]+)(?!\s*[.,/-]?\s*[0-9])(?!\s*[/%-])", re.IGNORECASE)
_ASKED = re.compile(r"ANSWER:", re.IGNORECASE)


def read_score(text: str) -> int | None:
    """Read a RoboReward's answer.

    Valid is a text in which every ``ANSWER:`` (capitals or not, at least one) is followed by the same whole number of
    1 ... 5. Text around it is allowed; a number elsewhere is no answer.

    :param text: decoded answer.
    :returns: score; None when there is none to read.
    """
    numbers = [int(found) for found in _ANSWER.findall(text)]
    if not numbers or len(numbers) != len(_ASKED.findall(text)) or len(set(numbers)) > 1:
        return None
    return numbers[0] if numbers[0] in SCORES else None


def to_progress(score: float) -> float:
    """Turn a score, or an expected score, into progress in [0, 1]: (s - 1) / 4.

    :param score: in [1, 5].
    """
    return (score - SCORES[0]) / (SCORES[-1] - SCORES[0])
