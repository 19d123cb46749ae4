"""Numbers in, small SVG charts out: coloured by CSS classes, so that one report reads in light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HALF, HEIGHT = (
    960,
    460,
    240,
)  # pixels of a chart across the page, across half of it, and its height
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 16, 34
Point = tuple[float, float | None]  # (x, y); None breaks the line: no reading is not 0


@dataclass(frozen=True)
class Series:
    """One curve or cloud of a chart."""

    label: str
    points: Sequence[Point]
    tone: str = "a"  # a, b, c, d, e: colours of the style sheet; "quiet" for a reference
    dots: bool = False
    dashed: bool = False
    titles: Sequence[str] = ()  # one per point, shown when the pointer rests on a dot


@dataclass(frozen=True)
class Mark:
    """A vertical line with a word, e.g. where the success rule fired."""

    x: float
    label: str
    tone: str = "quiet"


@dataclass(frozen=True)
class Span:
    """A shaded stretch of the x axis, e.g. one phase of the run."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Axes:
    """Ranges and names of both axes, and the size; a range of ``None`` fits the data."""

    x_label: str
    y_label: str
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    height: int = HEIGHT
    width: int = WIDTH


def chart(
    series: Sequence[Series], axes: Axes, *, marks: Sequence[Mark] = (), spans: Sequence[Span] = ()
) -> str:
    """Draw curves and dots.

    :returns: one ``<figure>`` with an inline SVG and its legend, or a sentence when there is nothing to draw.
    """
    known = [(x, y) for one in series for x, y in one.points if y is not None and math.isfinite(y)]
    if not known:
        return f'<p class="none">No readings for “{escape(axes.y_label)}”.</p>'
    frame = _Frame.fit(known, axes)
    body = [_shade(span, frame) for span in spans]
    body += _grid(frame, axes)
    body += [_mark(mark, frame) for mark in marks]
    body += [_series(one, frame) for one in series]
    return _figure(
        body, axes.width, axes.height, axes.y_label, [one for one in series if one.label]
    )


def histogram(
    values: Sequence[float], *, x_label: str, bins: int = 40, limit: float | None = None
) -> str:
    """Draw how often each value occurs; values above ``limit`` count in the last bar.

    :param values: numbers in the unit that ``x_label`` names.
    """
    if not len(values):
        return f'<p class="none">No readings for “{escape(x_label)}”.</p>'
    top = limit if limit is not None else max(values)
    low = min(0.0, min(values))
    width = (top - low) / bins or 1.0
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((min(value, top) - low) / width))] += 1
    x_range, y_range = (low, low + width * bins), (0.0, float(max(counts)))
    axes = Axes(x_label, "count", x_range, y_range, height=190, width=HALF)
    frame = _Frame(x_range, y_range, axes.width, axes.height)
    body = _grid(frame, axes)
    for index, count in enumerate(counts):
        x0, x1 = frame.x(low + index * width), frame.x(low + (index + 1) * width)
        y = frame.y(count)
        title = f"{low + index * width:.3g} to {low + (index + 1) * width:.3g}: {count}"
        body.append(
            f'<rect class="bar" x="{x0 + 0.5:.1f}" y="{y:.1f}" width="{max(x1 - x0 - 1, 0.5):.1f}" '
            f'height="{frame.bottom - y:.1f}"><title>{escape(title)}</title></rect>'
        )
    return _figure(body, axes.width, axes.height, x_label, [])


def timeline(rows: Sequence[tuple[str, float, float, bool]], *, total_s: float) -> str:
    """Draw what ran when.

    :param rows: (name, start in s, length in s, whether it went well).
    """
    if not rows:
        return '<p class="none">No part of the run was timed.</p>'
    step, left = 26, 170
    scale = (WIDTH - left - 70) / max(total_s, 1e-9)
    body = []
    for index, (name, start, length, ok) in enumerate(rows):
        y, x = 6 + index * step, left + start * scale
        width = max(length * scale, 1.5)
        body.append(
            f'<text class="name" x="{left - 10}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
        )
        body.append(
            f'<rect class="{"bar" if ok else "bad"}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="18" rx="3"/>'
        )
        body.append(
            f'<text class="tick" x="{x + width + 6:.1f}" y="{y + 13}">{length:.1f} s</text>'
        )
    return _figure(body, WIDTH, 12 + step * len(rows), "parts of the run", [])


@dataclass(frozen=True)
class _Frame:
    """Maps data to pixels."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width: int
    height: int

    @classmethod
    def fit(cls, points: Sequence[tuple[float, float]], axes: Axes) -> _Frame:
        xs, ys = [x for x, _ in points], [y for _, y in points]
        x_range, y_range = axes.x_range or _padded(xs, 0.01), axes.y_range or _padded(ys, 0.08)
        return cls(x_range, y_range, axes.width, axes.height)

    @property
    def bottom(self) -> float:
        return self.height - BOTTOM

    @property
    def right(self) -> float:
        return self.width - RIGHT

    def x(self, value: float) -> float:
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (self.right - LEFT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        inside = min(max(value, low), high)
        return self.bottom - (inside - low) / (high - low) * (self.bottom - TOP)


def _padded(values: Sequence[float], share: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * share or abs(high) * share or 1.0
    return low - room, high + room


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten) between ``low`` and ``high``."""
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= raw)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def _grid(frame: _Frame, axes: Axes) -> list[str]:
    parts = []
    for tick in nice_ticks(*frame.y_range):
        y = frame.y(tick)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:.4g}</text>'
        )
    for tick in nice_ticks(*frame.x_range, count=frame.width // 100):
        x = frame.x(tick)
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{frame.bottom + 16}" text-anchor="middle">{tick:g}</text>'
        )
    parts.append(
        f'<line class="axis" x1="{LEFT}" x2="{frame.right}" y1="{frame.bottom}" y2="{frame.bottom}"/>'
    )
    middle = (LEFT + frame.right) / 2
    parts.append(
        f'<text class="tick" x="{middle}" y="{frame.height - 3}" text-anchor="middle">{escape(axes.x_label)}</text>'
    )
    return parts


def _series(one: Series, frame: _Frame) -> str:
    if one.dots:
        return "".join(_dot(one, index, frame) for index in range(len(one.points)))
    dash = ' stroke-dasharray="5 4"' if one.dashed else ""
    return f'<path class="line {one.tone}" d="{_path(one.points, frame)}"{dash}/>'


def _dot(one: Series, index: int, frame: _Frame) -> str:
    x, y = one.points[index]
    if y is None or not math.isfinite(y):
        return ""
    title = f"<title>{escape(one.titles[index])}</title>" if index < len(one.titles) else ""
    return f'<circle class="dot {one.tone}" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="4.5">{title}</circle>'


def _path(points: Sequence[Point], frame: _Frame) -> str:
    parts, pen_down = [], False
    for x, y in points:
        if y is None or not math.isfinite(y):
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{frame.x(x):.1f} {frame.y(y):.1f}")
        pen_down = True
    return "".join(parts)


def _mark(mark: Mark, frame: _Frame) -> str:
    x = frame.x(mark.x)
    side, shift = ("end", -4) if x > frame.width * 0.8 else ("start", 4)
    return (
        f'<line class="mark {mark.tone}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{frame.bottom}"/>'
        f'<text class="tick" x="{x + shift:.1f}" y="{TOP - 3}" text-anchor="{side}">{escape(mark.label)}</text>'
    )


def _shade(span: Span, frame: _Frame) -> str:
    x0, x1 = frame.x(max(span.start, frame.x_range[0])), frame.x(min(span.end, frame.x_range[1]))
    if x1 <= x0:
        return ""
    return (
        f'<rect class="shade" x="{x0:.1f}" y="{TOP}" width="{x1 - x0:.1f}" height="{frame.bottom - TOP}"/>'
        f'<text class="tick" x="{x0 + 5:.1f}" y="{TOP + 11}">{escape(span.label)}</text>'
    )


def _figure(
    body: Sequence[str], width: int, height: int, name: str, legend: Sequence[Series]
) -> str:
    keys = "".join(f'<span class="key {one.tone}">{escape(one.label)}</span>' for one in legend)
    caption = f"<figcaption>{keys}</figcaption>" if keys else ""
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">'
        f"{''.join(body)}</svg>{caption}</figure>"
    )
