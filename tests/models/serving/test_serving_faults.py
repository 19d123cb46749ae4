"""What goes wrong at the server: malformed, large, late, refused; it answers and lives."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dopamine_core.errors import ConfigError
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.serving.config import ServeConfig
from dopamine_core.reward.serving.server import open_socket
from dopamine_core.reward.wire.limits import WireLimits
from tests.core.reward.toy_model import BarModel
from tests.models.serving.served import (
    REFERENCES,
    TASK,
    ask,
    bars,
    bright,
    npy,
    official_form,
    progress,
    serve,
)

FRAMES = bars(0.0, 0.5)
PART = "sample_0_trajectory_frames"
TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(bright(), limits=WireLimits(request_mib=1, json_mib=1)) as address:
        yield address


def whole(url: str) -> bool:
    """Whether the server still answers rightly."""
    return progress(ask(url, FRAMES)) == pytest.approx([0.0, 0.5], abs=0.01)


def bomb(shape: tuple[int, ...]) -> bytes:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def form(content: bytes | None = None, **sample: Any) -> tuple[dict, dict]:
    """The official form with other frames or another sample."""
    fields, files = official_form(FRAMES)
    fields["sample_0"] = json.dumps({**json.loads(fields["sample_0"]), **sample})
    if content is not None:
        files[PART] = (f"{PART}.npy", content, "application/octet-stream")
    return fields, files


@pytest.mark.parametrize(
    ("fields", "files", "code", "words"),
    [
        (*form(sample_type="similarity"), 400, "progress, preference"),
        (*form(sample_type="preference"), 400, "chosen_trajectory"),
        (*form(trajectory=[]), 400, "mapping"),
        (*form(npy(FRAMES.astype("float32"))), 400, "uint8"),
        (*form(npy(FRAMES[0])), 400, "(T, H, W, 3)"),
        (*form(npy(FRAMES)[:-7]), 400, "bytes of pixels"),
        (*form(b"\x80\x04pickle"), 400, ".npy"),
        (*form(bomb((100_000, 100_000, 100_000, 3))), 413, "at most 512 frames"),
        (*form(bomb((1, 100_000, 100_000, 3))), 413, "megapixels"),
        (*form(bytes(2 << 20)), 413, "1048576 bytes"),
        ({"sample_0": "{"}, {}, 400, "multipart"),
        ({"use_frame_steps": "true"}, {"x": ("x", b"", "x/y")}, 400, "at least one sample"),
        (official_form(FRAMES)[0], {"x": ("x.npy", b"", "x/y")}, 400, "file part"),
    ],
)
def test_malformed_forms_are_named(url, fields, files, code, words) -> None:
    response = httpx.post(f"{url}/evaluate_batch_npy", data=fields, files=files)
    assert response.status_code == code
    assert words in response.json()["error"]["expected"]
    assert {"kind", "expected", "got", "remedy"} == response.json()["error"].keys()


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", 400), (b"{", 400), (b"[" * 50_000, 400), (b"[]", 400), (b"\xff\xfe", 400), (b" " * 2**21, 413)],
)
def test_malformed_json_is_named(url, body: bytes, code: int) -> None:
    response = httpx.post(f"{url}/evaluate_batch", content=body)
    assert response.status_code == code and response.json()["error"]["expected"]


def test_a_large_body_without_a_length_is_stopped(url) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 16)

    response = httpx.post(f"{url}/evaluate_batch_npy", content=pieces())
    assert response.status_code == 413 and whole(url)


def test_unknown_paths_and_methods_are_named(url) -> None:
    assert httpx.get(f"{url}/evaluate_batch").status_code == 405
    assert "GET /health" in httpx.post(f"{url}/anything").json()["error"]["expected"]


def test_a_multipart_cut_by_the_client_is_named(url) -> None:
    fields, files = official_form(FRAMES)
    request = httpx.Request("POST", f"{url}/evaluate_batch_npy", data=fields, files=files)
    body = request.read()
    for end in (10, len(body) // 2, len(body) - 3):
        headers = {"Content-Type": request.headers["Content-Type"]}
        response = httpx.post(request.url, content=body[:end], headers=headers)
        assert response.status_code == 400, end
    assert whole(url)


def raw(url: str, data: bytes) -> socket.socket:
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=5.0)
    connection.sendall(data)
    return connection


def test_a_client_that_hangs_up_while_it_sends_hurts_nobody(url) -> None:
    head = b"POST /evaluate_batch_npy HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"
    raw(url, head + b"x" * 100).close()
    raw(url, b"NONSENSE\r\n\r\n").close()
    assert whole(url)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200), st.sampled_from(["evaluate_batch", "evaluate_batch_npy"]))
def test_any_bytes_are_answered_with_400(url, body: bytes, path: str) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = httpx.post(f"{url}/{path}", content=body, headers=headers)
    assert response.status_code == 400


def test_a_model_that_raises_is_named_and_the_server_lives() -> None:
    with serve(bright()) as url:
        response = ask(url, FRAMES, "explode")
        assert response.status_code == 500
        assert "'bright'" in response.json()["error"]["expected"]
        assert "the toy exploded" in response.json()["error"]["got"]
        assert whole(url)
        page = httpx.get(f"{url}/metrics").text
    assert 'dopamine_serve_errors_total{kind="RuntimeError"} 1' in page


def test_a_request_that_fails_does_not_take_others_with_it() -> None:
    tasks = [TASK, "explode", TASK, "explode", TASK]
    with serve(bright(delay_s=0.1)) as url, ThreadPoolExecutor(len(tasks)) as pool:
        codes = list(pool.map(lambda task: ask(url, FRAMES, task).status_code, tasks))
    assert codes == [200, 500, 200, 500, 200]


def test_a_full_queue_says_when_to_come_again() -> None:
    model = bright(delay_s=0.5)
    with serve(model, queue=2) as url, ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, url, FRAMES)
        assert model.scorer.begun.wait(5.0)
        second = pool.submit(ask, url, FRAMES)
        _until(lambda: httpx.get(f"{url}/health").json()["under_way"] == 2)
        refused = ask(url, FRAMES)
        assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1
        assert (first.result().status_code, second.result().status_code) == (200, 200)
        assert whole(url)
        page = httpx.get(f"{url}/metrics").text
    assert 'dopamine_serve_rejected_total{reason="queue_full"} 1' in page


def test_a_late_answer_is_a_504_and_the_rest_is_not_computed() -> None:
    class SlowBar(BarModel):
        def hops(self, queries):
            time.sleep(0.1)
            return super().hops(queries)

    hops = SlowBar()
    with serve(PairwiseModel(hops), REFERENCES, timeout_s=0.35, batch=1) as url:
        began = time.monotonic()
        response = ask(url, bars(*[k / 40 for k in range(40)]))
        assert response.status_code == 504 and time.monotonic() - began < 2.0
        assert "'bar' within 0.35 s" in response.json()["error"]["expected"]
        _until(lambda: httpx.get(f"{url}/health").json()["available_gpus"] == 1)
        assert progress(ask(url, FRAMES)) == pytest.approx([0.0, 0.5], abs=0.02)
    assert hops.encoded < 20


def test_a_client_that_leaves_is_not_computed_for() -> None:
    model = bright(delay_s=0.1)
    records: list = []
    with serve(model, batch=1, records=records) as url:
        with pytest.raises(httpx.ReadTimeout):
            ask(url, bars(*[0.5] * 40), timeout=0.3)
        _until(lambda: any(record.code == 499 for record in records))
        _until(lambda: httpx.get(f"{url}/health").json()["available_gpus"] == 1)
    assert len(model.scorer.sizes) < 20


def test_a_model_that_hangs_is_seen_in_its_health() -> None:
    with serve(bright(delay_s=1.0), timeout_s=0.2) as url:
        assert ask(url, FRAMES).status_code == 504
        health = httpx.get(f"{url}/health")
    assert health.status_code == 503 and health.json()["status"] == "stuck"


def test_a_token_is_asked_of_every_request() -> None:
    with serve(bright(), token=TOKEN) as url:
        for path in ("health", "model_info", "metrics", "gpu_status"):
            assert httpx.get(f"{url}/{path}").status_code == 401
        for header in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xe9"):
            refused = ask(url, FRAMES, headers={"Authorization": header.encode("latin-1")})
            assert refused.status_code == 401, header
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert TOKEN not in refused.text
        good = {"Authorization": f"Bearer {TOKEN}"}
        assert ask(url, FRAMES, headers=good).status_code == 200
        assert httpx.get(f"{url}/health", headers=good | {"Host": "robot.lab"}).status_code == 200


def test_without_a_token_only_this_machine_is_named(url) -> None:
    for host in ("evil.example", "evil.example:8000", "127.0.0.1.evil.example"):
        assert httpx.get(f"{url}/health", headers={"Host": host}).status_code == 403
    for host in ("localhost", "localhost:9", "127.0.0.1:1", "[::1]:8000"):
        assert httpx.get(f"{url}/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "robot.lab"])
def test_other_machines_are_served_with_a_token_only(host: str) -> None:
    with pytest.raises(ConfigError, match="a token for the address"):
        ServeConfig(host=host)
    assert ServeConfig(host=host, token=TOKEN).host == host


def test_a_short_token_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="at least 16") as caught:
        ServeConfig(token="secret")
    assert "secret" not in caught.value.got


def test_a_port_that_is_taken_is_named() -> None:
    taken = open_socket(ServeConfig(port=0))
    taken.listen()
    with taken, pytest.raises(ConfigError, match="--port"):
        open_socket(ServeConfig(port=taken.getsockname()[1]))


def test_replies_are_not_held_back_to_be_packed_together() -> None:
    with open_socket(ServeConfig(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # else asyncio leaves Nagle's algorithm on


def test_request_ids_are_kept_when_they_are_plain_words() -> None:
    records: list = []
    with serve(bright(), records=records) as url:
        kept = ask(url, FRAMES, headers={"X-Request-Id": "robot-1.42"})
        made = ask(url, FRAMES, headers={"X-Request-Id": "two words"})
    assert kept.headers["X-Request-Id"] == kept.json()["request_id"] == "robot-1.42"
    assert made.headers["X-Request-Id"] == records[1].request_id != "two words"
    assert records[0].request_id == "robot-1.42"
    assert (records[0].code, records[0].samples, records[0].frames) == (200, 1, 2)
    assert 0.0 <= records[0].computed_s <= records[0].seconds


def test_a_request_under_way_is_answered_when_the_server_stops() -> None:
    model = bright(delay_s=0.5)
    with ThreadPoolExecutor(1) as pool:
        with serve(model, grace_s=5.0) as url:
            answer = pool.submit(ask, url, FRAMES)
            assert model.scorer.begun.wait(5.0)
        assert answer.result(5.0).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")


def test_who_waits_for_a_hanging_model_hears_that_the_server_stops() -> None:
    model = bright(delay_s=3.0)
    with ThreadPoolExecutor(2) as pool:
        with serve(model, grace_s=0.2) as url:
            running = pool.submit(ask, url, FRAMES)
            assert model.scorer.begun.wait(5.0)
            waiting = pool.submit(ask, url, FRAMES)
            _until(lambda: httpx.get(f"{url}/health").json()["under_way"] == 2)
            began = time.monotonic()
        assert time.monotonic() - began < 2.5
        for answer in (running.result(5.0), waiting.result(5.0)):
            assert answer.status_code == 503 and "one that stops" in answer.text


def _until(true: Any, seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)
