"""A process that records for ever, to be killed: prints the log time of each message it handed over."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from dopamine_core.episodes.recorder import EpisodeRecorder, RecorderConfig
from dopamine_core.types import EpisodeState, FramePair
from tests.core.episodes import bag_messages
from tests.core.episodes.hand_made import image, info, joints


def main() -> None:
    """Record joints at 100 Hz and frames at 10 Hz, stamped with the wall clock."""
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    recorder = EpisodeRecorder(Path(sys.argv[1]), RecorderConfig(min_free_bytes=0))
    recorder.write(bag_messages.episode(info(state=EpisodeState.OPEN)))
    count = 0
    while not limit or count < limit:
        now_ns = time.time_ns()
        sample = joints(0)
        recorder.write(bag_messages.joints(type(sample)(now_ns, sample.names, sample.position)))
        if count % 10 == 0:
            frames = FramePair(image(now_ns, count), image(now_ns, count))
            recorder.write(bag_messages.image("front/image/compressed", frames.front))
        count += 1
        print(now_ns, flush=True)
        if recorder.error is not None:
            print(f"error {recorder.error}", flush=True)
            return
        time.sleep(0.01)
    recorder.finish()


if __name__ == "__main__":
    main()
