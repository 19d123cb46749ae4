"""What the back ends share in reading answers: where a stop string ended them, numbers in percent."""

from __future__ import annotations

import re

from dopamine_core.reward.remote.chat import UNTOLD, Reply

TOP_LOGPROBS = 20  # the most that hosted APIs give
_PERCENT = re.compile(r"\s*([+-]?[0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%?\s*\Z")
_LARGEST = 100.0


def with_end(reply: Reply, stop: str) -> str:
    """Return an answer with the stop string that ended it.

    Most servers leave it out. It is put back only where it did end the answer: not at the limit of tokens, and not
    where the server says that something else did.

    :param stop: the only stop string of the question.
    """
    stopped = reply.complete and reply.stopped_at in (stop, UNTOLD)
    return reply.text if stop in reply.text or not stopped else reply.text + stop


def read_percent(text: str) -> float | None:
    """Read a text that is one signed number in percent and nothing else.

    :returns: in [-100, 100]; None when there is none to read.
    """
    found = _PERCENT.match(text)
    value = None if found is None else float(found[1])
    return value if value is not None and abs(value) <= _LARGEST else None
