"""The folder of a GRM's adaptation: what it holds is written here, and read back with its hashes checked.

``adaptation.json`` describes it; ``adapter/`` holds the low-rank weights in peft's layout; ``references/`` the
demonstration's own start and goal; ``report.json`` what the adaptation measured. The base model is not in it: the
description names it by path, revision and hash.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopamine_core.errors import ModelError
from dopamine_core.reward.vlm.checkpoint import Checkpoint

DESCRIPTION, ADAPTER, REPORT = "adaptation.json", "adapter", "report.json"
FORMAT, BACK_END = 1, "grm"
_HASHED = ("adapter", "references")


@dataclass(frozen=True)
class Adaptation:
    """A verified adaptation folder."""

    folder: Path
    base_path: str  # checkpoint folder or hub id, as it was named
    base_revision: str
    base_sha256: str
    prompt_name: str
    prompt_sha256: str
    task: str
    success_threshold: float  # in (0, 1]
    settings: dict[str, Any]  # of the back end, as it was adapted: image sizes, prompt and its file, device
    sha256: str  # of the description, which holds the hashes of all other files
    description: dict[str, Any]

    @property
    def adapter(self) -> Path:
        """Folder in peft's layout."""
        return self.folder / ADAPTER


def is_adaptation(path: Path | str) -> bool:
    """Tell whether a path is the folder of an adaptation."""
    return (Path(path).expanduser() / DESCRIPTION).is_file()


def write_description(folder: Path, fields: dict[str, Any]) -> None:
    """Describe an adaptation whose adapter and references are written already.

    :param fields: everything that ``read_adaptation`` asks for, and what else should be known.
    """
    files = {
        path.relative_to(folder).as_posix(): _sha256(path)
        for part in _HASHED
        for path in sorted((folder / part).rglob("*"))
        if path.is_file()
    }
    content = {"format": FORMAT, "back_end": BACK_END, **fields, "files": files}
    (folder / DESCRIPTION).write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_adaptation(folder: Path | str) -> Adaptation:
    """Read an adaptation's folder and check the hashes of its files.

    :raises ModelError: when a file is missing or changed, or the description is unreadable or of another format.
    """
    folder = Path(folder).expanduser()
    try:
        content = (folder / DESCRIPTION).read_bytes()
        found = _described(folder, json.loads(content), hashlib.sha256(content).hexdigest())
        for name, expected in found.description["files"].items():
            _check_file(folder / name, expected)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            expected=f"an adaptation with {DESCRIPTION}, {ADAPTER}/ and references/ in {folder}",
            got=f"{type(error).__name__}: {error}",
            remedy="adapt the model again",
        ) from error
    return found


def _described(folder: Path, content: dict[str, Any], sha256: str) -> Adaptation:
    kind = content.get("format"), content.get("back_end")
    threshold = float(content["success_threshold"])
    if kind != (FORMAT, BACK_END) or not 0.0 < threshold <= 1.0:
        raise ModelError(
            expected=f"an adaptation of {BACK_END}, format {FORMAT}, with a success threshold in (0, 1]",
            got=f"{kind[1]}, format {kind[0]}, threshold {threshold} in {folder}",
            remedy="adapt the model again with this version",
        )
    return Adaptation(
        folder=folder,
        base_path=str(content["base"]["path"]),
        base_revision=str(content["base"]["revision"]),
        base_sha256=str(content["base"]["sha256"]),
        prompt_name=str(content["prompt"]["name"]),
        prompt_sha256=str(content["prompt"]["sha256"]),
        task=str(content["task"]),
        success_threshold=threshold,
        settings=dict(content["back_end_settings"]),
        sha256=sha256,
        description=content,
    )


def _check_file(path: Path, expected: str) -> None:
    got = _sha256(path)
    if got != expected:
        raise ModelError(
            expected=f"{path} with sha256 {expected}",
            got=got,
            remedy="the file is corrupt or was replaced: adapt the model again",
        )


def apply_adapter(
    checkpoint: Checkpoint, adaptation: Adaptation, base_sha256: str = ""
) -> Checkpoint:
    """Merge an adaptation into a loaded base model; ``checkpoint.model`` is changed.

    :param base_sha256: hash of the checkpoint's files where it is known already; else they are read.
    :returns: the checkpoint.
    :raises ModelError: when the adapter belongs to another base, the base is quantised, or peft cannot load it.
    """
    got = base_sha256 or checkpoint.files.sha256()
    if got != adaptation.base_sha256:
        raise ModelError(
            expected=f"the base model {adaptation.base_path}, sha256 {adaptation.base_sha256}",
            got=f"{got} in {checkpoint.files.folder}",
            remedy="load the base that was adapted, or adapt this one",
        )
    if getattr(checkpoint.model, "hf_quantizer", None) is not None:
        raise ModelError(
            expected="a base model that is not quantised, for an adapter to be merged into",
            got="quantised weights",
            remedy="set quantisation: none",
        )
    from peft import PeftModel

    try:
        adapted = PeftModel.from_pretrained(checkpoint.model, str(adaptation.adapter))
        checkpoint.model = adapted.merge_and_unload().eval().requires_grad_(False)
    except Exception as error:  # peft and torch raise many classes for adapters that do not fit
        raise ModelError(
            expected=f"an adapter in peft's layout in {adaptation.adapter}",
            got=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            remedy="adapt the model again with this version",
        ) from error
    return checkpoint


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
