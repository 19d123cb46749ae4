"""Charts: missing readings break a curve, ranges hold, ticks are round."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.evaluation.plots import (
    Axes,
    Mark,
    Series,
    chart,
    histogram,
    nice_ticks,
    timeline,
)

AXES = Axes("x", "y", (0.0, 10.0), (0.0, 1.0))


def paths(figure):
    return [element.get("d") for element in ET.fromstring(figure).iter("path")]


def test_a_missing_reading_breaks_the_line():
    (path,) = paths(chart([Series("s", [(0, 0.1), (1, None), (2, 0.3), (3, 0.4)])], AXES))
    assert path.count("M") == 2
    assert path.count("L") == 1


def test_nothing_to_draw_is_said():
    assert "No readings" in chart([Series("s", [(0, None)])], AXES)
    assert "No readings" in histogram([], x_label="ms")
    assert "No part" in timeline([], total_s=0.0)


def test_points_stay_inside_the_frame():
    (path,) = paths(chart([Series("s", [(0, -5.0), (10, 7.0)])], AXES))
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]
    assert min(heights) >= 0.0 and max(heights) <= AXES.height


def test_words_are_escaped():
    figure = chart([Series("<b>", [(0, 0.5)])], AXES, marks=[Mark(1.0, "a & b")])
    assert "<b>" not in figure
    assert "a &amp; b" in figure


def test_histogram_counts_everything_once():
    figure = histogram([1.0, 2.0, 3.0, 500.0], x_label="ms", bins=10, limit=10.0)
    counts = [int(title.text.split(": ")[1]) for title in ET.fromstring(figure).iter("title")]
    assert sum(counts) == 4
    assert counts[-1] == 1


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0, 100.0, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]),
        (-1.0, 1.0, [-1.0, -0.5, 0.0, 0.5, 1.0]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert nice_ticks(low, high) == pytest.approx(expected)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_lie_inside_and_are_few(low, width):
    ticks = nice_ticks(low, low + width)
    slack = width * 1e-6
    assert len(ticks) <= 6
    assert all(low - slack <= tick <= low + width + slack for tick in ticks)
