"""Recordings in; bytes by topic and gigabytes per hour of episode, at decision rate and as full-rate video, out.

python benchmarks/recording_size.py runs/<id>/episodes/*.mcap
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from dopamine_core.episodes import contents
from dopamine_core.episodes.bag import read_bag

FULL_RATE_HZ = 30.0
_IMAGES = (contents.FRONT_IMAGE, contents.WRIST_IMAGE)


def measure(paths: list[Path]) -> dict[str, float]:
    """Sizes of recordings.

    :returns: seconds, bytes by topic, ``file_bytes``, ``gb_per_hour`` as recorded, and
        ``gb_per_hour_full_rate``: the same with a camera pair at 30 Hz (``tape.every_frame``).
    """
    figures: Counter[str] = Counter()
    for path in paths:
        messages = read_bag(path).messages
        stamps = [m.publish_ns for m in messages if m.channel.topic == contents.DECISION]
        figures["seconds"] += (max(stamps) - min(stamps)) / 1e9 if stamps else 0.0
        figures["file_bytes"] += path.stat().st_size
        for message in messages:
            figures[message.channel.topic] += len(message.data)
        figures["pairs"] += sum(m.channel.topic == contents.FRONT_IMAGE for m in messages)
    return _rates(figures)


def _rates(figures: Counter[str]) -> dict[str, float]:
    images = sum(figures[topic] for topic in _IMAGES)
    per_s = figures["file_bytes"] / figures["seconds"]
    full_s = per_s + (images / figures["pairs"]) * FULL_RATE_HZ - images / figures["seconds"]
    return {
        **figures,
        "gb_per_hour": per_s * 3600 / 1e9,
        "gb_per_hour_full_rate": full_s * 3600 / 1e9,
    }


def main(arguments: list[str]) -> None:
    """Print the figures."""
    for name, value in sorted(measure([Path(path) for path in arguments]).items()):
        print(f"{name:28s} {value:14.2f}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(sys.argv[1:])
