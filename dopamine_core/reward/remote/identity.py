"""Which model answers: a hash over everything that changes answers, and over nothing that does not."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from dopamine_core.reward.remote.settings import ServerConfig
from dopamine_core.types import ModelId

#: Where the model is, how patiently it is asked, what is decided from its answers; files are known by their content.
_APART = frozenset(
    "path api_key_env reply_model connect_timeout_s read_timeout_s deadline_s retries backoff_s backoff_limit_s "
    "in_flight reply_limit_bytes require_request_id token_limit_field fast success_threshold prompt_file".split()
)


def identity(name: str, config: ServerConfig, served: str, prompt_sha256: str) -> ModelId:
    """Return the model's identity; the same at any address.

    :param name: of the back end.
    :param served: model name at the server.
    :param prompt_sha256: of the prompt's text.
    """
    settings = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    told = {key: value for key, value in settings.items() if key not in _APART}
    told |= {"back end": name, "model": served, "prompt sha256": prompt_sha256}
    return ModelId(name, hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest())
