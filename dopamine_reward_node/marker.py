"""A reading comes in; a bar with a text for rviz goes out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from dopamine_core.types import Reading
from dopamine_ros.convert.stamps import from_ns

_LENGTH_M = 0.4
_THICK_M = 0.03


def progress_marker(
    reading: Reading, stamp_ns: int, frame: str, position: Sequence[float]
) -> MarkerArray:
    """Draw progress as a bar from red to green, grey while there is no valid reading.

    :param frame: frame id of the marker.
    :param position: (3,) left end of the bar, metres.
    """
    share = 0.0 if math.isnan(reading.progress) else reading.progress
    red, green = (0.5, 0.5) if not reading.ok else (1.0 - share, share)
    colour = ColorRGBA(r=red, g=green, b=0.5 if not reading.ok else 0.1, a=1.0)
    markers = [
        _bar(0, _LENGTH_M, _THICK_M / 2, ColorRGBA(r=0.2, g=0.2, b=0.2, a=0.6), position),
        _bar(1, max(share * _LENGTH_M, 1e-3), _THICK_M, colour, position),
        _text(2, marker_text(reading), position),
    ]
    for marker in markers:
        marker.header.frame_id = frame
        marker.header.stamp = from_ns(stamp_ns)
    return MarkerArray(markers=markers)


def marker_text(reading: Reading) -> str:
    """Progress in percent, or the status."""
    return f"{reading.progress:.0%}" if reading.ok else reading.status.name


def _bar(
    number: int, length_m: float, thick_m: float, colour: ColorRGBA, position: Sequence[float]
) -> Marker:
    marker = Marker(ns="progress", id=number, type=Marker.CUBE, action=Marker.ADD, color=colour)
    marker.scale = Vector3(x=length_m, y=thick_m, z=thick_m)
    marker.pose.position = Point(x=position[0] + length_m / 2, y=position[1], z=position[2])
    return marker


def _text(number: int, text: str, position: Sequence[float]) -> Marker:
    marker = Marker(ns="progress", id=number, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
    marker.text = text
    marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    marker.scale = Vector3(x=0.0, y=0.0, z=2 * _THICK_M)
    marker.pose.position = Point(
        x=position[0] + _LENGTH_M / 2, y=position[1], z=position[2] + 3 * _THICK_M
    )
    return marker
