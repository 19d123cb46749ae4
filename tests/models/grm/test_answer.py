"""The parser of answers: valid exactly where specified, never an exception."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.reward.grm.answer import read_hop, write_hop

GENERATED = 10_000
OTHER_DIGITS = "٠١٢٣४५६७８９߀᠐"


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("<score>+12.5%</score>", 0.125),
        ("<score>-100.0%</score>", -1.0),
        ("<score>0.0%</score>", 0.0),
        ("<score>0%</score>", 0.0),
        ("<score>+7%</score>", 0.07),
        ("<score> 33 </score>", 0.33),
        ("<score>100</score> and so on", 1.0),
        ("I say <score>5%</score>, no: <score>-5%</score>", -0.05),
    ],
)
def test_what_is_valid(text: str, hop: float) -> None:
    assert read_hop(text) == pytest.approx(hop, abs=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+12%",
        "<score>",
        "<score></score>",
        "<score>+12.5%",  # cut short
        "12.5%</score>",
        "<score>-25.0.0.5.6.6.6",  # the known way of running on
        "<score>-25.0.0.5</score>",
        "<score>101%</score>",
        "<score>1e1%</score>",
        "<score>nan%</score>",
        "<score>+-5%</score>",
        "<score>.5%</score>",
        "<score>5.%</score>",
        "<score>1 2%</score>",
        "<score>٣%</score>",
        "<score>１２%</score>",
        "<score>5%</score><score>",  # the last one opened is not closed
        "<score>12%%</score>",
    ],
)
def test_what_is_invalid(text: str) -> None:
    assert read_hop(text) is None


def test_ten_thousand_generated_strings() -> None:
    rng = random.Random(1)
    counts = {"valid": 0, "invalid": 0}
    for _ in range(GENERATED):
        text, hop = _generated(rng)
        got = read_hop(text)
        assert (got is None) == (hop is None), text
        if hop is not None:
            assert got == pytest.approx(hop, abs=1e-9), text
        counts["valid" if hop is not None else "invalid"] += 1
    assert min(counts.values()) > GENERATED // 5


def _generated(rng: random.Random) -> tuple[str, float | None]:
    """A string and the hop that the specification gives it, by construction rather than by parsing."""
    kind = rng.randrange(8)
    value = rng.randint(-1000, 1000)
    sign = "-" if value < 0 else rng.choice(["+", ""])
    number = rng.choice([f"{abs(value) // 10}.{abs(value) % 10}", f"{abs(value) // 10}.{abs(value) % 10}00"])
    body = f"{sign}{number}{rng.choice(['%', '', ' %', '% '])}"
    before = rng.choice(["", "text ", "<score>9%</score> ", "\n"])
    after = rng.choice(["", " text", "</score>", "\n"])
    whole = f"{before}<score>{body}</score>{after}"
    if kind <= 2:
        return whole, value / 1000.0
    if kind == 3:  # run on
        return f"<score>{body.rstrip('% ')}{'.5' * rng.randint(1, 300)}</score>", None
    if kind == 4:  # cut short anywhere before the closing tag is whole
        last = f"<score>{body}</score>"
        return last[: rng.randrange(len(last))], None
    if kind == 5:  # other scripts' digits
        return f"<score>{sign}{rng.choice(OTHER_DIGITS)}{rng.choice(['', '5'])}%</score>", None
    if kind == 6:  # out of range
        return f"<score>{sign}{rng.randint(101, 999)}%</score>", None
    return "".join(chr(rng.randrange(1, 0x2FFF)) for _ in range(rng.randrange(40))), None


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    for whole in (text, f"<score>{text}</score>"):
        hop = read_hop(whole)
        assert hop is None or -1.0 <= hop <= 1.0
        if hop is not None and whole.startswith("<score>"):
            assert any(unicodedata.category(c) == "Nd" and c.isascii() for c in text)


@given(st.floats(-1.0, 1.0))
def test_what_is_written_is_read(hop: float) -> None:
    got = read_hop(write_hop(hop))
    assert got is not None and abs(got - hop) <= 0.0005 + 1e-9


def test_training_labels_carry_sign_and_one_decimal() -> None:
    assert write_hop(0.125) == "<score>+12.5%</score>"
    assert write_hop(-1.0) == "<score>-100.0%</score>"
    assert write_hop(0.0) == write_hop(-0.0001) == "<score>0.0%</score>"
