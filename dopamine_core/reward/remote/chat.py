"""One question becomes the body of a chat completion, one reply becomes a checked answer; nothing is sent here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dopamine_core.reward.remote.faults import ReplyError, shortened
from dopamine_core.reward.remote.images import DataUrl
from dopamine_core.reward.remote.settings import ServerConfig

_ID_PREFIX = "dopamine-"
_ID = re.compile(rf"{_ID_PREFIX}[0-9a-f]{{32}}")
_ENDS = ("stop", "length")
UNTOLD = object()  # the server does not say what stopped it


@dataclass(frozen=True)
class Clip:
    """Frames that go as one video: vLLM's form for JPEG frames that are already chosen."""

    frames: tuple[DataUrl, ...]

    @property
    def url(self) -> str:
        """``data:video/jpeg;base64,`` and the frames, divided by commas."""
        return "data:video/jpeg;base64," + ",".join(frame.base64 for frame in self.frames)


Part = str | DataUrl | Clip


@dataclass(frozen=True)
class Question:
    """One user turn and how its answer ends.

    :param parts: text, images and clips in order.
    :param max_tokens: longest answer in tokens.
    :param stop: strings that end the answer; most servers leave them out of it.
    :param top_logprobs: alternatives per token that are asked for; 0: no log-probabilities at all.
    """

    parts: tuple[Part, ...]
    max_tokens: int
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0


@dataclass(frozen=True)
class Token:
    """One token of an answer with its alternatives, itself included."""

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...]  # (text, log-probability)


@dataclass(frozen=True)
class Reply:
    """A checked answer.

    :param text: what the model wrote.
    :param complete: it ended by itself or at a stop string, not at the limit of tokens.
    :param stopped_at: the stop string that ended it, None when none did, ``UNTOLD`` when the server does not say.
    :param tokens: with log-probabilities; empty when the server gave none.
    """

    text: str
    complete: bool
    stopped_at: object = UNTOLD
    tokens: tuple[Token, ...] = ()


def body_of(question: Question, model: str, config: ServerConfig) -> bytes:
    """Write the request: greedy unless the settings say otherwise, one choice, not streamed.

    :param model: served name.
    """
    fields: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": [_part(part) for part in question.parts]}],
        "n": 1,
        "stream": False,
        config.token_limit_field: question.max_tokens,
    }
    if config.greedy:
        fields["temperature"] = 0
    if question.stop:
        fields["stop"] = list(question.stop)
    if question.top_logprobs:
        fields |= {"logprobs": True, "top_logprobs": question.top_logprobs}
    if config.processor_limits:
        fields["mm_processor_kwargs"] = config.processor_limits
    return json.dumps(fields | config.extra_fields).encode()


def request_id(number: int) -> str:
    """Return the id that a question travels with.

    :param number: unique, below 2**128.
    """
    return f"{_ID_PREFIX}{number:032x}"


def read_reply(
    content: bytes, headers: Mapping[str, str], asked: str, model: str, *, require_id: bool = False
) -> Reply:
    """Check that a reply is one whole answer to this question, and read it.

    :param content: body as it came.
    :param headers: of the reply, names in lower case.
    :param asked: id of the question. An id of ours in the reply's ``id`` or ``X-Request-Id`` must be this one.
    :param model: model name that the reply must carry.
    :param require_id: refuse a reply without an id of ours.
    :raises ReplyError: naming what is wrong.
    """
    document = read_json(content, headers)
    _check_id(document, headers, asked, require_id)
    if document.get("object", "chat.completion") != "chat.completion":
        raise _wrong("a chat completion", f"object {shortened(str(document['object']))}")
    if document.get("model") != model:
        raise _wrong(
            f"an answer of the model {model!r}",
            f"one of {shortened(str(document.get('model')))}",
            "set 'reply_model' where the server resolves aliases",
        )
    choice = _only_choice(document)
    text = _text(choice)
    end = choice.get("finish_reason")
    if end not in _ENDS:
        raise _wrong(f"an answer that ended by {' or '.join(_ENDS)}", f"finish_reason {shortened(str(end))}")
    stopped_at = choice.get("stop_reason", choice.get("matched_stop", UNTOLD))
    return Reply(text, end == "stop", stopped_at, _tokens(choice.get("logprobs")))


def read_json(content: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """Read the JSON object of a body.

    :raises ReplyError: when it says or is something else.
    """
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise _wrong("application/json", f"{kind or 'no content type'}: {shortened(_decoded(content))}", _ADDRESS)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _wrong("a JSON object", f"{type(error).__name__} in {shortened(_decoded(content))}") from error
    if not isinstance(document, dict):
        raise _wrong("a JSON object", f"a JSON {type(document).__name__}")
    return document


_ADDRESS = "check the address: something else answers there"


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    kind = "image_url" if isinstance(part, DataUrl) else "video_url"
    return {"type": kind, kind: {"url": part.url}}


def _check_id(document: Mapping[str, Any], headers: Mapping[str, str], asked: str, require: bool) -> None:
    told = f"{document.get('id', '')} {headers.get('x-request-id', '')}"
    found = set(_ID.findall(told))
    if found - {asked}:
        raise _wrong("the answer to this question", "the answer to another one", "check what stands between")
    if require and not found:
        raise _wrong(
            "a reply that carries the id of its question",
            f"id {shortened(told.strip())}",
            "set require_request_id to false, or let the server echo X-Request-Id",
        )


def _only_choice(document: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = document.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        count = len(choices) if isinstance(choices, list) else type(choices).__name__
        raise _wrong("exactly one choice", str(count))
    if choices[0].get("index", 0) != 0:
        raise _wrong("the choice of index 0", shortened(str(choices[0]["index"])))
    return choices[0]


def _text(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else None
    if not isinstance(text, str) or message.get("role", "assistant") != "assistant":
        raise _wrong("a text of the assistant", shortened(json.dumps(message)))
    return text


def _tokens(logprobs: Any) -> tuple[Token, ...]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not content:
        return ()
    try:
        return tuple(_token(entry) for entry in content)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _wrong("tokens with log-probabilities", f"{type(error).__name__}: {error}") from error


def _token(entry: Mapping[str, Any]) -> Token:
    own = _alternative(entry)
    others: Sequence[Mapping[str, Any]] = entry.get("top_logprobs") or ()
    alternatives = dict([*(_alternative(other) for other in others), own])  # one per text
    return Token(*own, tuple(alternatives.items()))


def _alternative(entry: Mapping[str, Any]) -> tuple[str, float]:
    text, logprob = entry["token"], float(entry["logprob"])
    if not isinstance(text, str) or math.isnan(logprob) or logprob > 1e-3:
        raise ValueError(f"token {text!r} with log-probability {logprob}")
    return text, min(0.0, logprob)


def _decoded(content: bytes) -> str:
    return content[:400].decode("utf-8", errors="replace")


def _wrong(expected: str, got: str, remedy: str = "look at the server's log") -> ReplyError:
    return ReplyError(expected=expected, got=got, remedy=remedy, again=True)
