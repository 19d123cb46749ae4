"""The client: order, bounds, retries, deadlines and every way in which a server goes wrong."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dopamine_core.errors import ConfigError, ModelError
from dopamine_core.reward.remote.chat import Question, Reply
from dopamine_core.reward.remote.client import ChatClient
from dopamine_core.reward.remote.faults import (
    ClosedError,
    RefusedError,
    RemoteError,
    ReplyError,
    UnreachableError,
)
from dopamine_core.reward.remote.settings import ServerConfig
from tests.models.remote.fake_server import Asked, FakeServer, Fault
from tests.models.remote.quick import QUICK, client_of

HTML = Fault("body", text="<html>Bad gateway</html>", headers={"Content-Type": "text/html"})


def said(*texts: str) -> list[Question]:
    return [Question((text,), max_tokens=8) for text in texts]


def texts_of(replies: list[Reply | RemoteError]) -> list[str]:
    return [reply.text if isinstance(reply, Reply) else type(reply).__name__ for reply in replies]


@pytest.fixture
def echoing(server: FakeServer) -> FakeServer:
    """A server that answers with the question's own words."""
    server.write = lambda asked: asked.text
    return server


def test_questions_go_at_once_and_answers_keep_their_order(echoing: FakeServer) -> None:
    words = [f"question {k}" for k in range(40)]
    echoing.fault_of = lambda asked: Fault("late", 0.001 * (40 - int(asked.text.split()[1])))
    began = time.monotonic()
    echoing.seconds = 0.05
    assert texts_of(client_of(echoing).ask(said(*words))) == words
    assert echoing.most_in_work == 8  # the server's batch, filled by one call
    assert time.monotonic() - began < 1.5  # one by one: 2 s


def test_no_more_than_the_bound_are_under_way_also_over_models(echoing: FakeServer) -> None:
    echoing.seconds = 0.02
    models = [client_of(echoing, in_flight=3) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda model: texts_of(model.ask(said("a", "b", "c", "d"))), models))
    assert answers == [["a", "b", "c", "d"]] * 3
    assert echoing.most_in_work == 3


def test_the_model_loaded_last_sets_the_bound(echoing: FakeServer) -> None:
    echoing.seconds = 0.02
    first = client_of(echoing, in_flight=2)
    first.ask(said(*"abcdef"))
    assert echoing.most_in_work == 2
    client_of(echoing, in_flight=5)
    first.ask(said(*"abcdefghij"))
    assert echoing.most_in_work == 5


def test_connections_are_kept(echoing: FakeServer) -> None:
    client = client_of(echoing)
    for _ in range(5):
        assert texts_of(client.ask(said("again"))) == ["again"]
    assert echoing.connections == 1


PASSING = {
    "status 429": Fault("refuse", status=429),
    "status 500": Fault("refuse", status=500),
    "status 503 as HTML": Fault("refuse", status=503, text="<html>", headers={"Content-Type": "text/html"}),
    "late": Fault("late", seconds=0.8),
    "hang": Fault("hang"),
    "closed at once": Fault("close_at_once"),
    "closed in the middle": Fault("close_in_the_middle"),
    "no HTTP": Fault("raw", text="what?\r\n\r\n"),
    "HTML": HTML,
    "plain text": Fault("body", text="{}", headers={"Content-Type": "text/plain"}),
    "cut JSON": Fault("body", text='{"choices": [{"mess'),
    "deep JSON": Fault("body", text="[" * 100_000),
    "a JSON list": Fault("body", text="[]"),
    "an empty object": Fault("body", text="{}"),
    "nothing": Fault("body", text=""),
    "no choice": Fault("no_choice"),
    "two choices": Fault("two_choices"),
    "second index": Fault("second_index"),
    "refusal": Fault("refusal"),
    "filtered": Fault("filtered"),
    "other model": Fault("other_model"),
    "other object": Fault("other_object"),
    "other question": Fault("other_question"),
    "broken log-probabilities": Fault("broken_logprobs"),
}
LASTING = {
    "a redirect": (Fault("refuse", status=302, headers={"Location": "http://127.0.0.1:1/"}), RefusedError, "redirect"),
    "status 400": (Fault("refuse", status=400), RefusedError, "status 400.*not now"),
    "status 404": (Fault("refuse", status=404), RefusedError, "'model'"),
    "an endless reply": (Fault("endless"), ReplyError, "1000000 bytes"),
    "a packed reply": (Fault("body", text="x", headers={"Content-Encoding": "gzip"}), ReplyError, "packed"),
    "a trickle": (Fault("trickle"), UnreachableError, "within 1 s"),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_asked_again(echoing: FakeServer, name: str) -> None:
    echoing.faults.extend([PASSING[name], PASSING[name]])
    assert texts_of(client_of(echoing).ask(said("once more"))) == ["once more"]
    assert len(echoing.asked) == 3


@pytest.mark.parametrize("name", PASSING)
def test_what_does_not_pass_is_a_named_fault_of_its_question_only(echoing: FakeServer, name: str) -> None:
    echoing.fault_of = lambda asked: PASSING[name] if asked.text == "bad" else None
    good, bad, fine = client_of(echoing, retries=1).ask(said("good", "bad", "fine"))
    assert texts_of([good, fine]) == ["good", "fine"]
    assert isinstance(bad, UnreachableError | RefusedError | ReplyError) and bad.again
    assert bad.expected and bad.got and bad.remedy
    assert len(echoing.asked) == 4


@pytest.mark.parametrize("name", LASTING)
def test_what_cannot_pass_is_not_asked_again(echoing: FakeServer, name: str) -> None:
    fault, kind, phrase = LASTING[name]
    echoing.fault_of = lambda asked: fault if asked.text == "bad" else None
    bad, fine = client_of(echoing, deadline_s=1.0).ask(said("bad", "fine"))
    assert isinstance(fine, Reply) and fine.text == "fine"
    with pytest.raises(kind, match=phrase):
        raise bad  # type: ignore[misc]
    assert len(echoing.asked) == 2


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        [fault] = ChatClient(ServerConfig(path=address, **{**QUICK, "model": "m"})).ask(said("hello"))
        with pytest.raises(UnreachableError, match=address):
            raise fault  # type: ignore[misc]
        with pytest.raises(UnreachableError, match=address):
            ChatClient(ServerConfig(path=address, **QUICK))


def test_the_server_says_when_to_come_back(echoing: FakeServer) -> None:
    echoing.faults.append(Fault("refuse", status=429, headers={"Retry-After": "0.4"}))
    began = time.monotonic()
    assert texts_of(client_of(echoing).ask(said("later"))) == ["later"]
    assert 0.4 <= time.monotonic() - began < 1.5


def test_a_wish_beyond_the_deadline_is_not_waited_for(echoing: FakeServer) -> None:
    echoing.faults.append(Fault("refuse", status=429, headers={"Retry-After": "60"}))
    began = time.monotonic()
    assert texts_of(client_of(echoing).ask(said("never"))) == ["RefusedError"]
    assert time.monotonic() - began < 1.0


def test_the_deadline_ends_a_row_of_faults(echoing: FakeServer) -> None:
    echoing.fault_of = lambda _: Fault("hang")
    began = time.monotonic()
    [fault] = client_of(echoing, deadline_s=1.2, retries=100).ask(said("hello"))
    assert isinstance(fault, UnreachableError)
    assert 0.9 <= time.monotonic() - began < 2.5
    assert 2 <= len(echoing.asked) <= 4


def test_a_question_that_waits_for_its_turn_has_its_whole_deadline(echoing: FakeServer) -> None:
    echoing.seconds = 0.1
    client = client_of(echoing, in_flight=1, deadline_s=0.3)
    assert texts_of(client.ask(said(*"abcdefgh"))) == list("abcdefgh")


def test_replies_of_an_alias_must_be_declared(echoing: FakeServer) -> None:
    echoing.fault_of = lambda _: Fault("other_model")
    assert texts_of(client_of(echoing).ask(said("x"))) == ["ReplyError"]
    assert texts_of(client_of(echoing, reply_model="someone else").ask(said("x"))) == ["x"]


def test_an_id_can_be_demanded(echoing: FakeServer) -> None:
    assert texts_of(client_of(echoing, require_request_id=True).ask(said("x"))) == ["x"]
    echoing.echo = False
    assert texts_of(client_of(echoing).ask(said("x"))) == ["x"]
    assert texts_of(client_of(echoing, require_request_id=True).ask(said("x"))) == ["ReplyError"]
    ids = [asked.headers["x-request-id"] for asked in echoing.asked]
    assert all(name.startswith("dopamine-") for name in ids)


def test_the_only_model_is_found() -> None:
    with FakeServer(served=("grm-3b",)) as server:
        assert client_of(server, model="").model == "grm-3b"
    with FakeServer() as server, pytest.raises(ModelError, match="roboreward.*topreward"):
        client_of(server, model="")


def test_the_key_is_sent_and_never_told(
    echoing: FakeServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    echoing.key = "sk-very-secret"
    monkeypatch.setenv("SOME_API_KEY", "sk-very-secret")
    client = client_of(echoing, api_key_env="SOME_API_KEY")
    assert texts_of(client.ask(said("x"))) == ["x"]
    echoing.key = "sk-another"
    [fault] = client.ask(said("x"))
    assert isinstance(fault, RefusedError) and "api_key_env" in str(fault) and "Bearer ***" in str(fault)
    for text in (str(fault), repr(fault), repr(client), caplog.text):
        assert "very-secret" not in text


def test_a_missing_key_is_named(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="SOME_API_KEY"):
        client_of(server, api_key_env="SOME_API_KEY")
    monkeypatch.setenv("SOME_API_KEY", "two\nlines")
    with pytest.raises(ConfigError) as caught:
        client_of(server, api_key_env="SOME_API_KEY")
    assert "lines" not in str(caught.value)


def test_closing_ends_questions_under_way(echoing: FakeServer) -> None:
    echoing.fault_of = lambda _: Fault("hang")
    client = client_of(echoing, read_timeout_s=30.0, deadline_s=30.0)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.ask, said("a", "b"))
        while echoing.in_work < 2:
            time.sleep(0.005)
        client.close()
        assert all(isinstance(fault, ClosedError) for fault in asked.result(2.0))
    assert all(isinstance(fault, ClosedError) for fault in client.ask(said("c")))
    client.close()
    assert not remote_threads()


def test_a_closed_client_leaves_its_neighbours(echoing: FakeServer) -> None:
    one, two = client_of(echoing), client_of(echoing)
    one.close()
    assert texts_of(one.ask(said("x"))) == ["ClosedError"]
    assert texts_of(two.ask(said("x"))) == ["x"]
    assert len(remote_threads()) == 1


def test_a_forgotten_client_ends_with_its_object(echoing: FakeServer) -> None:
    client = client_of(echoing)
    assert texts_of(client.ask(said("x"))) == ["x"]
    [thread] = remote_threads()
    del client
    gc.collect()
    thread.join(2.0)
    assert not thread.is_alive()


def test_a_request_says_everything_once(echoing: FakeServer) -> None:
    question = Question(("x",), max_tokens=7, stop=("END",), top_logprobs=5)
    extra = json.dumps({"chat_template_kwargs": {"enable_thinking": False}, "top_k": 1})
    client_of(echoing, extra=extra, resize="server", min_pixels=10, max_pixels=20).ask([question])
    body = _body(echoing.asked[0])
    assert body == {
        "model": "grm",
        "n": 1,
        "stream": False,
        "temperature": 0,
        "max_tokens": 7,
        "stop": ["END"],
        "logprobs": True,
        "top_logprobs": 5,
        "mm_processor_kwargs": {"min_pixels": 10, "max_pixels": 20},
        "chat_template_kwargs": {"enable_thinking": False},
        "top_k": 1,
    }


def _body(asked: Asked) -> dict[str, Any]:
    return {name: value for name, value in asked.body.items() if name != "messages"}


def remote_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "remote reward model"]
