"""The settings that every back end on an OpenAI-compatible server shares."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dopamine_core.config import check, setting
from dopamine_core.errors import ConfigError

CLIENT, SERVER = "client", "server"
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
#: Fields of the request that settings of their own decide.
_OURS = frozenset(
    "model messages n stream temperature max_tokens max_completion_tokens stop logprobs top_logprobs".split()
)


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Where a model is served, how patiently it is asked, and how images are sent."""

    path: str = setting(
        "http://127.0.0.1:8000/v1", doc="Address of the API, up to and with its version."
    )
    model: str = setting("", doc="Served model name; empty: the only one that the server lists.")
    reply_model: str = setting(
        "", doc="Model name that replies carry, where the server resolves aliases; empty: the same."
    )
    revision: str = setting("", doc="Version of the served weights, as you name it; part of the model's identity.")
    api_key_env: str = setting(
        "", doc="Name of the environment variable that holds the API key; empty: no key is sent."
    )
    connect_timeout_s: float = setting(
        5.0, doc="How long a connection may take.", unit="s", low=0.01, high=600.0
    )
    read_timeout_s: float = setting(
        20.0, doc="How long a reply may pause, its first byte included.", unit="s", low=0.01, high=3600.0
    )
    deadline_s: float = setting(
        30.0,
        doc="How long one question may take from its first sending on, retries included.",
        unit="s",
        low=0.01,
        high=3600.0,
    )
    retries: int = setting(4, doc="Further attempts after faults that may pass.", low=0, high=100)
    backoff_s: float = setting(
        0.25, doc="Pause after the first fault; doubled after each further one.", unit="s", low=0.0, high=60.0
    )
    backoff_limit_s: float = setting(8.0, doc="Longest pause of our own choice.", unit="s", low=0.0, high=600.0)
    in_flight: int = setting(
        32,
        doc="Questions that one process has under way at one server at most; the model loaded last decides for all.",
        low=1,
        high=1024,
    )
    reply_limit_bytes: int = setting(1_000_000, doc="Largest reply that is read.", low=1000, high=10**9)
    require_request_id: bool = setting(
        False, doc="Refuse replies that do not carry the id of their question (vLLM's do)."
    )
    resize: str = setting(
        CLIENT,
        doc="Who brings images to the pixel limits; server: images go as they came and vLLM is told the limits.",
        choices=(CLIENT, SERVER),
    )
    min_pixels: int = setting(0, doc="Fewest pixels of an image; 0: no limit.", low=0, high=10**8)
    max_pixels: int = setting(786_432, doc="Most pixels of an image; 0: no limit.", low=0, high=10**8)
    token_limit_field: str = setting(
        "max_tokens",
        doc="What the server calls the limit of the answer's tokens.",
        choices=("max_tokens", "max_completion_tokens"),
    )
    greedy: bool = setting(
        True, doc="Ask for temperature 0; hosted reasoning models refuse it, and then answers vary."
    )
    extra: str = setting(
        "",
        doc="JSON object merged into every request: fields of one server, e.g. "
        '{"chat_template_kwargs": {"enable_thinking": false}}.',
    )
    fast: bool = setting(
        False, doc="Answers come within one decision period, so that the policy may see the same progress."
    )

    def __post_init__(self) -> None:
        check(self)
        _check_address(self.path)
        _check_variable(self.api_key_env)
        if self.max_pixels and self.min_pixels > self.max_pixels:
            raise ConfigError(
                expected="min_pixels of max_pixels at most",
                got=f"{self.min_pixels} and {self.max_pixels}",
                remedy="correct one of them",
            )
        _ = self.extra_fields

    @property
    def address(self) -> str:
        """The address without a closing slash."""
        return self.path.rstrip("/")

    @property
    def extra_fields(self) -> dict[str, Any]:
        """The further request fields.

        :raises ConfigError: when they are no JSON object, or name what other settings decide.
        """
        try:
            fields = json.loads(self.extra) if self.extra.strip() else {}
        except ValueError as error:
            raise _extra_error(str(error)) from error
        if not isinstance(fields, dict):
            raise _extra_error(f"a JSON {type(fields).__name__}")
        told = {"mm_processor_kwargs"} if self.processor_limits else set()
        taken = sorted(set(fields) & (_OURS | told))
        if taken:
            raise _extra_error(f"{', '.join(taken)}, which other settings decide")
        return fields

    @property
    def processor_limits(self) -> dict[str, int]:
        """Pixel limits that the server's image processor is told; empty unless it resizes."""
        limits = {"min_pixels": self.min_pixels, "max_pixels": self.max_pixels}
        return {name: value for name, value in limits.items() if value and self.resize == SERVER}

    def api_key(self) -> str:
        """Read the key from the environment; empty when none is asked for.

        :raises ConfigError: when the variable is not set.
        """
        if not self.api_key_env:
            return ""
        key = os.environ.get(self.api_key_env, "").strip()
        if not re.fullmatch(r"[!-~]+", key):
            raise ConfigError(
                expected=f"an API key of printable ASCII in the environment variable {self.api_key_env}",
                got="another text" if key else "nothing",
                remedy="export it before the node starts",
            )
        return key


def _check_address(address: str) -> None:
    """Check that an address names a server and nothing secret; the error does not repeat it."""
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            expected="an address like http://127.0.0.1:8000/v1, without user, password or query",
            got="another text",
            remedy="correct 'path'; a key belongs in the environment variable that 'api_key_env' names",
        )


def _check_variable(name: str) -> None:
    """Check that the name of a variable is none of a key; the error does not repeat it."""
    if name and not _VARIABLE.fullmatch(name):
        raise ConfigError(
            expected="the name of an environment variable in upper case, e.g. OPENAI_API_KEY",
            got="another text (not shown, it may be the key itself)",
            remedy="correct 'api_key_env'",
        )


def _extra_error(got: str) -> ConfigError:
    return ConfigError(
        expected="'extra' to be a JSON object of further request fields",
        got=got,
        remedy="correct it, or leave it empty",
    )
