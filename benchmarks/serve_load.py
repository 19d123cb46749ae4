"""``dopamine serve`` under load: clients that ask at once, what they get a second, how late, and what is turned away.

The served models are the embedded nano with start and goal images, and a clip model that takes a set time for each
batch, as a large model does. Server and clients are processes of their own on one machine.

python -m benchmarks.serve_load                         # 1, 4, 16 and 32 clients, 10 s each
python -m benchmarks.serve_load --clients 8 --seconds 60 --slow-s 0.5
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from dopamine_cli.main import app
from dopamine_core.frames.codec import encode
from dopamine_core.reward.clips import ClipAnswer, ClipQuery, ClipRewardModel
from dopamine_core.reward.reference_images import save_references
from dopamine_core.reward.registry import register_reward_model
from dopamine_core.reward.session import PROGRESS
from dopamine_core.reward.wire.request import to_form
from dopamine_core.reward.wire.values import Batch, ProgressSample, Trajectory
from dopamine_core.types import FramePair, ModelId, Status

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "serve_load.json"
PACKAGES = ("starlette", "uvicorn", "python-multipart", "httpx", "numpy", "onnxruntime")
TASK = "move the block"
FRAMES, HEIGHT, WIDTH = 8, 240, 320
QUEUE = 16
SLOW = "slow"


class SlowScorer:
    """Takes a set time for each batch, whatever its size, and says that half of the task is done."""

    model_id = ModelId(SLOW, SLOW)
    fast = False
    success_threshold = 0.9
    success_signal = PROGRESS

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def encode(self, pair: FramePair) -> int:
        """Nothing is looked at."""
        return pair.stamp_ns

    def score(self, queries: Sequence[ClipQuery]) -> list[ClipAnswer]:
        """Wait and answer."""
        time.sleep(self._seconds)
        return [ClipAnswer(Status.OK, 0.5)] * len(queries)


def picture(share: float) -> np.ndarray:
    """(H, W, 3) uint8: a bright block on its way over a textured ground."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(60, 120, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    rgb = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
    left = round(share * (WIDTH - 40))
    rgb[100:140, left : left + 40] = (220, 190, 40)
    return rgb


def references(folder: Path) -> Path:
    """Write start and goal images as an adapted model's folder holds them."""
    start, goal = (FramePair(image, image) for image in (encode(picture(s), 1) for s in (0.0, 1.0)))
    save_references(folder, start, goal)
    (folder / "model.json").write_text(json.dumps({"task": TASK}), encoding="utf-8")
    return folder


@contextmanager
def server(arguments: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Start the command in a process of its own; yields its address and process number."""
    words = [sys.executable, "-m", "benchmarks.serve_load", *arguments]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            first = json.loads(process.stdout.readline())
            with ThreadPoolExecutor(1) as pool:
                pool.submit(process.stdout.read)  # the log, so that the pipe never fills
                yield first["address"], process.pid
                process.terminate()
        finally:
            process.kill()


def body() -> tuple[bytearray, str]:
    """One request as a client sends it: eight frames of one trajectory, all to be answered."""
    frames = np.stack([picture(k / (FRAMES - 1)) for k in range(FRAMES)])
    fields, files = to_form(Batch((ProgressSample(Trajectory(frames, TASK)),)))
    request = httpx.Request("POST", "http://127.0.0.1", data=fields, files=files)
    return bytearray(request.read()), request.headers["Content-Type"]


def renew(content: bytearray, rng: np.random.Generator) -> None:
    """Change a few pixels of each frame, so that no frame is known to the server."""
    first = content.index(b"\x93NUMPY") + 128  # the header's length, by the format
    for frame in range(FRAMES):
        place = first + frame * HEIGHT * WIDTH * 3
        content[place : place + 24] = rng.bytes(24)


def ask(address: str, seconds: float, number: int) -> list[tuple[int, float]]:
    """Ask one request after the other; each one's status and time. After a 503 wait as long as it says."""
    content, kind = body()
    rng = np.random.default_rng(number)
    answers = []
    with httpx.Client(timeout=60.0) as client:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            renew(content, rng)
            sent, began_s = bytes(content), time.monotonic()
            response = client.post(
                f"{address}/evaluate_batch_npy", content=sent, headers={"Content-Type": kind}
            )
            answers.append((response.status_code, time.monotonic() - began_s))
            if response.status_code == 503:
                time.sleep(float(response.headers["Retry-After"]))
    return answers


def measure(address: str, clients: int, seconds: float) -> dict[str, Any]:
    """Let so many clients ask at once."""
    began_s = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        runs = list(pool.map(lambda number: ask(address, seconds, number), range(clients)))
    spent_s = time.monotonic() - began_s
    answers = [answer for run in runs for answer in run]
    late_ms = [spent * 1e3 for code, spent in answers if code == 200]
    return {
        "clients": clients,
        "seconds": round(spent_s, 1),
        "requests_per_s": round(len(late_ms) / spent_s, 2),
        "frames_per_s": round(len(late_ms) * FRAMES / spent_s, 1),
        "latency_ms": {f"p{q}": round(float(np.percentile(late_ms, q)), 1) for q in (50, 90, 99)},
        "answers_by_status": dict(Counter(str(code) for code, _ in answers)),
        "rejected_share": round(sum(code == 503 for code, _ in answers) / len(answers), 4),
    }


def peak_mib(process: int) -> float:
    """Most memory that a process has had, MiB."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    [peak] = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return round(peak / 1024, 1)


def serve(slow_s: float, arguments: list[str]) -> None:
    """Be the server: the command with one model more."""
    register_reward_model(SLOW, lambda path, fusion: ClipRewardModel(SlowScorer(slow_s)))
    app(["serve", "--port", "0", "--queue", str(QUEUE), "--json", *arguments])


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--seconds", type=float, default=10.0, help="for each number of clients")
    parser.add_argument("--slow-s", type=float, default=0.2, help="the slow model's time for a batch")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--serve", nargs=argparse.REMAINDER, help="be the server, with its arguments")
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.slow_s, options.serve)
        return
    results = {
        "command": f"python -m benchmarks.serve_load {' '.join(sys.argv[1:])}".strip(),
        "machine": {"cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"},
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "load_average_before": os.getloadavg()[0],
        "request": {"frames": FRAMES, "height": HEIGHT, "width": WIDTH, "bytes": len(body()[0])},
        "queue": QUEUE,
        "slow_model_s_per_batch": options.slow_s,
        "runs": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        shown = ["--references", str(references(Path(folder)))]
        for name, arguments in (("nano", shown), (SLOW, [])):
            own = ["--slow-s", str(options.slow_s), "--serve", "--model", name, *arguments]
            with server(own) as (address, process):
                measure(address, 1, 1.0)  # first requests load and allocate
                for clients in options.clients:
                    run = {"model": name, **measure(address, clients, options.seconds)}
                    run["server_peak_mib"] = peak_mib(process)
                    print(json.dumps(run), flush=True)
                    results["runs"].append(run)
    results["load_average_after"] = os.getloadavg()[0]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
