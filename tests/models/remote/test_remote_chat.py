"""Replies: whatever comes is one checked answer or a named fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.reward.remote.chat import (
    UNTOLD,
    Clip,
    Question,
    Reply,
    Token,
    body_of,
    read_reply,
    request_id,
)
from dopamine_core.reward.remote.faults import ReplyError, shortened
from dopamine_core.reward.remote.images import DataUrl
from dopamine_core.reward.remote.settings import ServerConfig

JSON = {"content-type": "application/json; charset=utf-8"}
ASKED = request_id(7)
CHOICE: dict[str, Any] = {
    "index": 0,
    "message": {"role": "assistant", "content": "hello"},
    "finish_reason": "stop",
}
GOOD: dict[str, Any] = {"id": f"chatcmpl-{ASKED}", "object": "chat.completion", "model": "m", "choices": [CHOICE]}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", *GOOD, *CHOICE]), inner, max_size=3)
    ),
    max_leaves=8,
)


def read(document: object, headers: dict[str, str] | None = None, **how: Any) -> Reply:
    return read_reply(json.dumps(document).encode(), {**JSON, **(headers or {})}, ASKED, "m", **how)


def test_a_reply_is_read() -> None:
    assert read(GOOD, require_id=True) == Reply("hello", complete=True)
    assert read({**GOOD, "choices": [CHOICE | {"finish_reason": "length"}]}).complete is False
    assert read(GOOD | {"id": "1"}, {"x-request-id": ASKED}, require_id=True).text == "hello"
    assert read({"model": "m", "choices": [{**CHOICE, "message": {"content": ""}}]}).text == ""


@pytest.mark.parametrize(
    ("fields", "stopped_at"),
    [({}, UNTOLD), ({"stop_reason": None}, None), ({"stop_reason": "END"}, "END"), ({"matched_stop": 3}, 3)],
)
def test_what_ended_it(fields: dict[str, Any], stopped_at: object) -> None:
    assert read({**GOOD, "choices": [CHOICE | fields]}).stopped_at == stopped_at


def test_tokens_are_read_with_themselves_among_their_alternatives() -> None:
    top = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -2}]
    content = [{"token": "c", "logprob": -3.0, "top_logprobs": top}, {"token": "d", "logprob": 0.0}]
    reply = read({**GOOD, "choices": [CHOICE | {"logprobs": {"content": content}}]})
    assert reply.tokens == (
        Token("c", -3.0, (("a", -0.1), ("b", -2.0), ("c", -3.0))),
        Token("d", 0.0, (("d", 0.0),)),
    )


@pytest.mark.parametrize(
    ("document", "headers", "phrase"),
    [
        (GOOD, {"content-type": "text/html"}, "application/json"),
        (GOOD, {"content-type": ""}, "no content type"),
        (GOOD | {"id": f"chatcmpl-{request_id(8)}"}, {}, "another one"),
        (GOOD, {"x-request-id": request_id(8)}, "another one"),
        (GOOD | {"model": "n"}, {}, "reply_model"),
        (GOOD | {"object": "error"}, {}, "chat completion"),
        (GOOD | {"choices": []}, {}, "exactly one choice"),
        (GOOD | {"choices": {}}, {}, "exactly one choice"),
        (GOOD | {"choices": [CHOICE] * 2}, {}, "exactly one choice"),
        (GOOD | {"choices": [CHOICE | {"index": 1}]}, {}, "index 0"),
        (GOOD | {"choices": [CHOICE | {"message": {"content": None}}]}, {}, "text of the assistant"),
        (GOOD | {"choices": [CHOICE | {"message": {"role": "user", "content": ""}}]}, {}, "text of the assistant"),
        (GOOD | {"choices": [CHOICE | {"finish_reason": "tool_calls"}]}, {}, "tool_calls"),
        (GOOD | {"choices": [CHOICE | {"logprobs": {"content": [1]}}]}, {}, "log-probabilities"),
        ([GOOD], {}, "a JSON list"),
    ],
)
def test_what_is_no_answer_is_named(document: object, headers: dict[str, str], phrase: str) -> None:
    with pytest.raises(ReplyError, match=phrase):
        read(document, headers)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_named_fault(content: bytes) -> None:
    with pytest.raises(ReplyError):
        read_reply(content, JSON, ASKED, "m")


@given(st.sampled_from([*GOOD, *CHOICE, "logprobs", "stop_reason"]), values)
def test_any_value_at_any_place_is_an_answer_or_a_named_fault(name: str, value: object) -> None:
    choice = CHOICE | ({name: value} if name not in GOOD else {})
    document = GOOD | {"choices": [choice]} | ({name: value} if name in GOOD else {})
    try:
        assert isinstance(read(document).text, str)
    except ReplyError as error:
        str(error).encode()  # it can be published


@given(st.text(max_size=400))
def test_a_quoted_text_is_one_short_line_that_can_be_published(text: str) -> None:
    quoted = shortened(text, 20)
    assert "\n" not in quoted and len(quoted.encode()) < 500


def test_parts_become_content_in_their_order() -> None:
    one, two = DataUrl("jpeg", "QUE="), DataUrl("png", "Qg==")
    parts = ("before", one, "between", two, Clip((one, one)))
    body = json.loads(body_of(Question(parts, 5), "m", _hosted()))
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "before"},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,QUE="}},
                {"type": "text", "text": "between"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,Qg=="}},
                {"type": "video_url", "video_url": {"url": "data:video/jpeg;base64,QUE=,QUE="}},
            ],
        }
    ]
    assert body["max_completion_tokens"] == 5 and "max_tokens" not in body
    assert "temperature" not in body
    assert "stop" not in body and "logprobs" not in body and "mm_processor_kwargs" not in body


def _hosted() -> ServerConfig:
    """Settings for a hosted reasoning model."""
    return ServerConfig(token_limit_field="max_completion_tokens", greedy=False)
