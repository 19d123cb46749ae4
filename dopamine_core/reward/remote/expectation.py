"""A reply with alternatives per token comes in, the expectation of what it says goes out.

A server tells, for each token of the greedy answer, the likeliest others; what would have followed one of them it does
not tell. The expectation is therefore taken to first order: each token of the number is exchanged in turn for its
alternatives, the rest kept; alternatives with which the answer cannot be read any more are left out and the
probabilities of the others made to sum to one. What they sum to before that is the token's mass; the least over the
tokens says how far the alternatives can be trusted. With h the greedy value and e_k the expectation over token k,

    E = h + sum_k (e_k - h),    variance = sum_k variance_k.

For a number that is one token this is the expectation over the listed alternatives itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dopamine_core.reward.remote.chat import Reply, Token
from dopamine_core.reward.remote.faults import ReplyError

Parse = Callable[[str], float | None]  # the whole answer to its value; None when it cannot be read


@dataclass(frozen=True)
class Expectation:
    """Mean and standard deviation of a value, and the least mass of readable alternatives over its tokens."""

    mean: float
    deviation: float
    mass: float


def expectation(reply: Reply, parse: Parse, span: tuple[int, int]) -> Expectation | None:
    """Take the expectation of an answer.

    :param reply: with tokens.
    :param parse: reads the text of an answer.
    :param span: (first, last + 1) characters of the number in the text.
    :returns: None when the greedy answer itself cannot be read.
    :raises ReplyError: when the server gave no log-probabilities, or those of another text.
    """
    cut = _cut(reply)
    start = -cut
    greedy = parse(reply.text)
    if greedy is None:
        return None
    texts = [token.text for token in reply.tokens]
    mean, variance, mass = greedy, 0.0, 1.0
    for k, token in enumerate(reply.tokens):
        end = start + len(token.text)
        if start < span[1] and end > span[0]:

            def value_of(text: str, k: int = k) -> float | None:
                whole = "".join([*texts[:k], text, *texts[k + 1 :]])
                return parse(whole.lstrip() if cut else whole)

            one, spread, listed = _moments(token, value_of, greedy)
            mean, variance, mass = mean + one - greedy, variance + spread, min(mass, listed)
        start = end
    return Expectation(mean, math.sqrt(variance), mass)


def thin(found: Expectation, min_mass: float) -> str:
    """Say why an expectation over too little probability is no reading."""
    return f"expected {min_mass:g} of the probability on readable answers, got {found.mass:.3g}; the sample is not used"


def _moments(token: Token, value_of: Parse, greedy: float) -> tuple[float, float, float]:
    """Mean, variance and mass of a token's readable alternatives; the token itself always is one."""
    rows = [(greedy, math.exp(token.logprob))]
    for text, logprob in token.alternatives:
        value = None if text == token.text else value_of(text)
        if value is not None:
            rows.append((value, math.exp(logprob)))
    total = sum(weight for _, weight in rows)
    if total <= 0.0:
        return greedy, 0.0, 0.0
    mean = sum(value * weight for value, weight in rows) / total
    return mean, sum((value - mean) ** 2 * weight for value, weight in rows) / total, total


def _cut(reply: Reply) -> int:
    """Characters of the tokens before the answer's text: some servers cut white space there."""
    if not reply.tokens:
        raise ReplyError(
            expected="log-probabilities with the answer",
            got="none",
            remedy="let the server give them, or set 'reading: written'",
        )
    said = "".join(token.text for token in reply.tokens)
    cut = said.find(reply.text)
    if cut < 0 or said[:cut].strip():
        raise ReplyError(
            expected="log-probabilities of the answer's own text",
            got="those of another one",
            remedy="set 'reading: written'",
        )
    return cut
