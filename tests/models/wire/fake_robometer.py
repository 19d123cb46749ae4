"""A stand-in for Robometer's own servers, written from their description with the standard library alone."""

from __future__ import annotations

import atexit
import email
import email.policy
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

INFO = {"model_path": "robometer/Robometer-4B", "num_gpus": 1, "experiment_config": {"a": 1}}


@dataclass
class Asked:
    """One request as it came."""

    samples: list[dict[str, Any]]
    arrays: dict[str, np.ndarray]
    use_frame_steps: str
    headers: dict[str, str]

    def frames(self, index: int, place: str = "trajectory") -> np.ndarray:
        """Frames of a sample, by the reference in its JSON."""
        return self.arrays[self.samples[index][place]["frames"]["__numpy_file__"]]


@dataclass
class Fake:
    """What the server does; ``answer`` makes the reply of a request.

    :param answer: the request to the reply's JSON, or to (status, headers, bytes).
    """

    answer: Callable[[Asked], Any]
    info: Any = field(default_factory=lambda: INFO)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""


def official(asked: Asked) -> dict[str, Any]:
    """Progress and success grow with the brightness of each frame, in the shape of the official server."""
    rows = [
        (asked.frames(k).mean(axis=(1, 2, 3)) / 255.0).tolist()
        for k, sample in enumerate(asked.samples)
        if sample["sample_type"] == "progress"
    ]
    duels = [
        float(asked.frames(k, "chosen_trajectory").mean() > asked.frames(k, "rejected_trajectory").mean())
        for k, sample in enumerate(asked.samples)
        if sample["sample_type"] == "preference"
    ]
    preferences = {"predictions": [int(p > 0.5) for p in duels], "prediction_probs": duels}
    return {
        "outputs_preference": preferences | {"preference_labels": [1.0] * len(duels)} if duels else None,
        "outputs_progress": {"progress_pred": rows} if rows else None,
        "outputs_success": {"success_probs": [[p**2 for p in row] for row in rows]} if rows else None,
    }


def baseline(asked: Asked) -> dict[str, Any]:
    """The same in the shape of the baseline server."""
    reply = official(asked)
    reply["outputs_progress"] |= reply.pop("outputs_success")
    return reply


@contextmanager
def fake(answer: Callable[[Asked], Any] = official, **options: Any) -> Iterator[Fake]:
    """Serve on a free port of loopback."""
    state = Fake(answer, **options)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(state.info)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked = _parsed(self.headers["Content-Type"], body, dict(self.headers))
            state.asked.append(asked)
            self.reply(state.answer(asked))

        def reply(self, value: Any) -> None:
            code, headers, content = (
                value if isinstance(value, tuple) else (200, {}, json.dumps(value).encode())
            )
            self.send_response(code)
            for name, text in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, text)
            self.end_headers()
            with suppress(OSError):  # the client gave up
                self.wfile.write(content)

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_kept = ExitStack()
atexit.register(_kept.close)


def lasting() -> str:
    """Address of a stand-in that serves as long as the process runs."""
    return _kept.enter_context(fake()).url


def _parsed(kind: str, body: bytes, headers: dict[str, str]) -> Asked:
    """Read a form with the standard library's mail parser."""
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    arrays, fields = {}, {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if part.get_filename():
            assert part.get_filename().endswith(".npy")  # the official server skips other names
            arrays[name] = np.load(io.BytesIO(content))
        else:
            fields[name] = content.decode()
    steps = fields.pop("use_frame_steps")
    samples = [json.loads(fields[f"sample_{k}"]) for k in range(len(fields))]
    return Asked(samples, arrays, steps, {name.lower(): text for name, text in headers.items()})
