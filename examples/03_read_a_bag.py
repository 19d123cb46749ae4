"""A recorded episode in, its topics and first frames out, with the stock MCAP reader and nothing of ours.

python examples/03_read_a_bag.py runs/<id>/episodes/<episode>.mcap
"""

import sys
from collections import Counter
from pathlib import Path

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory


def main(path: Path) -> None:
    """Count messages by topic, print the reward of each transition, save the first front image."""
    counts: Counter[str] = Counter()
    image_saved = False
    with path.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        for _, channel, _, message in reader.iter_decoded_messages():
            counts[channel.topic] += 1
            if channel.topic.endswith("reward/terms"):
                print(
                    f"{message.index:3d}  progress {message.progress:.3f}  reward {message.total:+.3f}"
                )
            if channel.topic.endswith("front/image/compressed") and not image_saved:
                Path("first_front.jpg").write_bytes(bytes(message.data))
                image_saved = True
    for topic, count in sorted(counts.items()):
        print(f"{count:5d}  {topic}")
    if image_saved:
        print("first_front.jpg: the very bytes that the reward model saw")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
