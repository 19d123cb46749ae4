"""A checkpoint's name comes in, a folder whose files are whole goes out; nothing is loaded yet.

A checkpoint is a folder in the published layout (``config.json``, safetensors with or without an index, tokenizer,
``preprocessor_config.json``) or the id of one on the model hub.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopamine_core.errors import ModelError

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
PREPROCESSOR = "preprocessor_config.json"
_DESCRIBING = ("config.json", "tokenizer.json", "tokenizer_config.json", PREPROCESSOR)
_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2, "I16": 2}  # others: 1
_BLOB = re.compile(r"[0-9a-f]{64}\Z")
_LARGEST_HEADER = 100 << 20
_WEIGHTS = "*.safetensors"
_WANTED = ("*.json", _WEIGHTS, "*.jinja", "*.txt", "*.yaml", "README.md")


@dataclass(frozen=True)
class TensorInfo:
    """Where and how large one stored tensor is."""

    file: str
    dtype: str  # as safetensors spell it
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes as stored."""
        return self.elements * _BYTES.get(self.dtype, 1)


@dataclass(frozen=True)
class CheckpointFiles:
    """A folder that was looked at: its configuration and what its weight files hold."""

    folder: Path
    config: dict[str, Any]
    tensors: dict[str, TensorInfo]

    @property
    def size_bytes(self) -> int:
        """Bytes of all weights as stored."""
        return sum(tensor.size_bytes for tensor in self.tensors.values())

    @property
    def elements(self) -> int:
        """Number of weights."""
        return sum(tensor.elements for tensor in self.tensors.values())

    @property
    def licence(self) -> str:
        """Licence that the model card names; ``not stated`` without one."""
        card = self.folder / "README.md"
        text = card.read_text(encoding="utf-8", errors="replace") if card.exists() else ""
        front = text.split("---")[1] if text.startswith("---") and text.count("---") > 1 else ""
        found = re.search(r"^license:\s*(\S+)", front, re.MULTILINE)
        return found[1] if found else "not stated"

    def sha256(self) -> str:
        """Hash over weights, configuration and tokenizer, in order of their names.

        Files of the hub's cache are named by their hash; others are read, which takes seconds per 10 GB.
        """
        names = {tensor.file for tensor in self.tensors.values()}
        names |= {name for name in _DESCRIBING if (self.folder / name).exists()}
        both = "".join(f"{name} {_file_sha256(self.folder / name)}\n" for name in sorted(names))
        return hashlib.sha256(both.encode()).hexdigest()


def find_checkpoint(
    path: str, *, revision: str = "", offline: bool = False, weights: bool = True
) -> Path:
    """Return the folder of a checkpoint, fetched from the hub when it is no folder.

    :param path: folder, or hub id such as ``owner/name``.
    :param revision: commit, tag or branch of a hub id; empty takes the newest.
    :param offline: use the local cache only.
    :param weights: False fetches what describes the model only, such as its tokenizer.
    :raises ModelError: when it cannot be had.
    """
    if Path(path).expanduser().is_dir():
        return Path(path).expanduser()
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        raise ModelError(
            expected="a checkpoint folder, or a hub id like owner/name",
            got=repr(path),
            remedy="correct the path",
        )
    from huggingface_hub import snapshot_download

    wanted = [pattern for pattern in _WANTED if weights or pattern != _WEIGHTS]
    try:
        found = snapshot_download(
            path, revision=revision or None, local_files_only=offline, allow_patterns=wanted
        )
    except Exception as error:  # the hub's client has a class per fault, and others below
        raise ModelError(
            expected=f"the checkpoint {path}, revision {revision or 'newest'}",
            got=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            remedy="load it in advance and set offline, or name a local folder"
            if offline
            else "check name, network and licence agreement, or name a local folder",
        ) from error
    return Path(found)


def look_at(folder: Path, model_types: tuple[str, ...]) -> CheckpointFiles:
    """Check that a checkpoint is whole and of an architecture that the caller can run.

    :param model_types: accepted values of ``model_type`` in ``config.json``.
    :raises ModelError: when a file is missing, cut short or of another architecture.
    """
    config = read_object(folder / "config.json")
    if config.get("model_type") not in model_types:
        raise ModelError(
            expected=f"a checkpoint of type {' or '.join(model_types)}",
            got=f"{config.get('model_type')!r} in {folder / 'config.json'}",
            remedy="choose the reward model that fits this checkpoint",
        )
    if not has_tokenizer(folder):
        raise _incomplete(folder, "tokenizer.json, or vocab.json and merges.txt", "none")
    read_object(folder / PREPROCESSOR)
    return look_inside(folder)


def look_inside(folder: Path) -> CheckpointFiles:
    """Read configuration and weight headers of a checkpoint of any architecture.

    :raises ModelError: when a file is missing or cut short.
    """
    return CheckpointFiles(folder, read_object(folder / "config.json"), read_headers(folder))


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds a tokenizer's files."""
    return any(all((folder / name).exists() for name in names) for names in _TOKENIZERS)


def read_headers(folder: Path) -> dict[str, TensorInfo]:
    """Read the headers of all weight files; compare them with the index and with the files' sizes.

    :returns: tensors by their stored name.
    :raises ModelError: when a file is missing or cut short, or a listed tensor is in none.
    """
    index = folder / _INDEX
    listed: dict[str, str] = read_object(index).get("weight_map", {}) if index.exists() else {}
    names = sorted(set(listed.values())) or [_SINGLE]
    found = {key: info for name in names for key, info in _header(folder / name).items()}
    absent = sorted(set(listed) - set(found))
    if absent:
        raise _incomplete(folder, f"{len(listed)} tensors of {_INDEX}", f"none named {absent[0]}")
    return found


def _header(path: Path) -> dict[str, TensorInfo]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size, _LARGEST_HEADER):
                raise ValueError("no safetensors header")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        expected = 8 + length + max((t["data_offsets"][1] for t in header.values()), default=0)
        infos = {
            key: TensorInfo(path.name, t["dtype"], tuple(t["shape"])) for key, t in header.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise _incomplete(path.parent, path.name, f"{type(error).__name__}: {error}") from error
    if expected != size:
        raise _incomplete(path.parent, f"{path.name} of {expected} bytes", f"{size} bytes")
    return infos


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object of a checkpoint.

    :raises ModelError: when the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _incomplete(path.parent, path.name, f"{type(error).__name__}: {error}") from error
    if not isinstance(content, dict):
        raise _incomplete(path.parent, f"an object in {path.name}", type(content).__name__)
    return content


def _incomplete(folder: Path, expected: str, got: str) -> ModelError:
    return ModelError(
        expected=f"{expected} in {folder}", got=got, remedy="fetch the checkpoint again, it is incomplete"
    )


def _file_sha256(path: Path) -> str:
    target = path.resolve()
    if _BLOB.match(target.name):
        return target.name
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
