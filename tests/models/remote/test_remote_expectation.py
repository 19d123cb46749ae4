"""Expectations over the alternatives of an answer's tokens."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.reward.grm.answer import read_hop
from dopamine_core.reward.remote.chat import UNTOLD, Reply, Token
from dopamine_core.reward.remote.expectation import expectation
from dopamine_core.reward.remote.faults import ReplyError
from dopamine_core.reward.remote.scores import read_percent, with_end


def token(text: str, **weights: float) -> Token:
    """A token with its own probability and those of others; digits are written d5."""
    listed = {name.lstrip("d"): weight for name, weight in weights.items()}
    own = listed.pop(text, 1.0 - sum(listed.values()))
    rows = {text: own} | listed
    return Token(text, math.log(own), tuple((name, math.log(weight)) for name, weight in rows.items()))


def reply(*tokens: Token) -> Reply:
    return Reply("".join(one.text for one in tokens), True, tokens=tokens)


def number(text: str) -> float | None:
    return float(text) if text.strip("+-").replace(".", "", 1).isdigit() else None


def test_one_token_gives_the_expectation_itself() -> None:
    found = expectation(reply(token("4", d3=0.1, d5=0.3)), number, (0, 1))
    assert found is not None
    assert found.mean == pytest.approx(0.6 * 4 + 0.1 * 3 + 0.3 * 5)
    assert found.deviation == pytest.approx(math.sqrt(0.6 * 0.2**2 + 0.1 * 1.2**2 + 0.3 * 0.8**2))
    assert found.mass == pytest.approx(1.0)


def test_tokens_add_their_shifts() -> None:
    tens, ones = token("1", d2=0.25), token("2", d7=0.2)
    found = expectation(reply(token("+"), tens, ones, token("."), token("5")), number, (0, 5))
    assert found is not None
    assert found.mean == pytest.approx(12.5 + 0.25 * 10 + 0.2 * 5)
    assert found.deviation == pytest.approx(math.sqrt(0.25 * 0.75 * 100 + 0.2 * 0.8 * 25))


def test_unreadable_alternatives_are_left_out() -> None:
    found = expectation(reply(token("4", x=0.5, d5=0.25)), number, (0, 1))
    assert found is not None and found.mean == pytest.approx(4.5)
    assert found.mass == pytest.approx(0.5)


def test_only_the_number_counts_and_cut_blanks_do_not_matter() -> None:
    tokens = (token(" "), token("7", d1=0.4), token("4", d5=0.5))
    found = expectation(Reply("74", True, tokens=tokens), number, (1, 2))
    assert found is not None and found.mean == pytest.approx(74.5)


def test_what_lacks_is_refused() -> None:
    with pytest.raises(ReplyError, match="reading: written"):
        expectation(Reply("4", True), number, (0, 1))
    with pytest.raises(ReplyError, match="another one"):
        expectation(Reply("5", True, tokens=(token("4"),)), number, (0, 1))
    assert expectation(reply(token("x")), number, (0, 1)) is None


digits = st.tuples(st.integers(0, 9), st.dictionaries(st.integers(0, 9), st.floats(-9999.0, 0.0)))


@given(st.lists(digits, min_size=1, max_size=3))
def test_a_mean_of_legal_numbers_is_a_number(rows: list[tuple[int, dict[int, float]]]) -> None:
    tokens = tuple(
        Token(str(digit), -0.5, tuple((str(k), w) for k, w in (others | {digit: -0.5}).items()))
        for digit, others in rows
    )
    found = expectation(reply(*tokens), number, (0, len(tokens)))
    assert found is not None and math.isfinite(found.mean) and found.deviation >= 0.0
    if len(tokens) == 1:
        assert 0.0 <= found.mean <= 9.0


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (Reply("<score>5", True), "<score>5</score>"),
        (Reply("<score>5", True, "</score>"), "<score>5</score>"),
        (Reply("<score>5</score>", True, "</score>"), "<score>5</score>"),
        (Reply("<score>5</score> x", True, None), "<score>5</score> x"),
        (Reply("<score>5", True, None), "<score>5"),  # the model itself ended there
        (Reply("<score>5", False), "<score>5"),
        (Reply("<score>5", False, UNTOLD), "<score>5"),
    ],
)
def test_a_stop_string_is_put_back_only_where_it_ended_the_answer(one: Reply, expected: str) -> None:
    assert with_end(one, "</score>") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", 12.0),
        (" -3.5% ", -3.5),
        ("+100", 100.0),
        ("101", None),
        ("", None),
        ("1.", None),
        ("٣", None),
        ("1 2", None),
    ],
)
def test_percentages(text: str, expected: float | None) -> None:
    assert read_percent(text) == expected


@given(st.text(max_size=30))
def test_any_text_is_a_percentage_in_range_or_none(text: str) -> None:
    value = read_percent(text)
    assert value is None or -100.0 <= value <= 100.0
    hop = read_hop(with_end(Reply(text, True), "</score>"))
    assert hop is None or abs(hop) <= 1.0
