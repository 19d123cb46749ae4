"""A Robometer checkpoint's folder comes in; which stored tensor is which part of the model goes out.

Two layouts hold the same weights. The authors' one has ``model.visual.*``, ``model.language_model.*`` and the heads,
beside the base model's configuration with ``architectures: ["RFM"]``. LeRobot's has ``model.model.*`` and the heads,
beside a configuration of its own that carries the base model's as ``vlm_config``; it may keep the token embedding
under the name of the language head that it is tied to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopamine_core.errors import ModelError
from dopamine_core.reward.vlm.files import CheckpointFiles, TensorInfo, read_headers, read_object

MODEL_TYPE = "qwen3_vl"
ARCHITECTURES = ("RFM", "RBM")  # the authors renamed the class
UPSTREAM, LEROBOT = "upstream", "lerobot"
HEADS = ("progress_head", "success_head", "preference_head")
_PREFIXES = {UPSTREAM: "model.", LEROBOT: "model.model."}
_EMBEDDING = "language_model.embed_tokens.weight"
_LANGUAGE_HEAD = "model.lm_head.weight"  # LeRobot's layout only


@dataclass(frozen=True)
class RobometerFiles:
    """A checkpoint that was looked at; nothing is loaded yet.

    :param layout: ``upstream`` or ``lerobot``.
    :param base: the base model's configuration.
    :param bins: of the progress head.
    :param rows: of the token embedding.
    :param renamed: stored prefix or name as a pattern, and what the base model calls it.
    """

    files: CheckpointFiles
    layout: str
    base: dict[str, Any]
    bins: int
    rows: int
    renamed: dict[str, str]

    @property
    def hidden(self) -> int:
        """Size of a hidden state."""
        return int(self.base["text_config"]["hidden_size"])


def look_at_robometer(folder: Path) -> RobometerFiles:
    """Check that a Robometer checkpoint is whole, and find out its layout.

    :raises ModelError: when a file is missing or cut short, the architecture is another one, or a head is missing or
        of another shape.
    """
    config = read_object(folder / "config.json")
    layout = LEROBOT if "vlm_config" in config else UPSTREAM
    base = _base_config(config, layout, folder)
    tensors = read_headers(folder)
    prefix = _PREFIXES[layout]
    renamed = {f"^{re.escape(prefix)}(?=visual|language_model)": ""}
    embedding = prefix + _EMBEDDING
    if layout == LEROBOT and embedding not in tensors and _LANGUAGE_HEAD in tensors:
        renamed[f"^{re.escape(_LANGUAGE_HEAD)}$"] = _EMBEDDING
        embedding = _LANGUAGE_HEAD
    hidden = int(base["text_config"]["hidden_size"])
    rows = _rows(tensors, embedding, hidden, folder)
    bins = _check_heads(tensors, hidden, folder)
    return RobometerFiles(
        CheckpointFiles(folder, config, tensors), layout, base, bins, rows, renamed
    )


def _base_config(config: dict[str, Any], layout: str, folder: Path) -> dict[str, Any]:
    names = config.get("architectures") or []
    base = config["vlm_config"] if layout == LEROBOT else config
    kind = base.get("model_type") if isinstance(base, dict) else None
    published = layout == LEROBOT or any(name in ARCHITECTURES for name in names)
    if not published or kind != MODEL_TYPE or "hidden_size" not in base.get("text_config", {}):
        raise ModelError(
            expected=f"a Robometer checkpoint: architectures {' or '.join(ARCHITECTURES)}, or a vlm_config, of "
            f"type {MODEL_TYPE}",
            got=f"architectures {names}, type {kind!r} in {folder / 'config.json'}",
            remedy="choose the reward model that fits this checkpoint",
        )
    return dict(base)


def _rows(tensors: dict[str, TensorInfo], name: str, hidden: int, folder: Path) -> int:
    shape = tensors[name].shape if name in tensors else ()
    if len(shape) != 2 or shape[1] != hidden:
        raise ModelError(
            expected=f"the token embedding {name} of shape (rows, {hidden}) in {folder}",
            got=str(shape) if shape else "none",
            remedy="this is another architecture or a damaged checkpoint; fetch it again",
        )
    return int(shape[0])


def _check_heads(tensors: dict[str, TensorInfo], hidden: int, folder: Path) -> int:
    """Compare names and shapes of the three heads with the published ones; returns the number of bins."""
    last = tensors.get("progress_head.4.weight")
    bins = last.shape[0] if last and last.shape else 0
    for head in HEADS:
        for name, shape in head_shapes(hidden, bins if head == HEADS[0] else 1).items():
            got = tensors.get(f"{head}.{name}")
            if got is None or got.shape != shape:
                raise ModelError(
                    expected=f"{head}.{name} of shape {shape} in {folder}",
                    got="none" if got is None else str(got.shape),
                    remedy="this is a base model or a damaged checkpoint; fetch Robometer's again",
                )
    if bins < 2:
        raise ModelError(
            expected=f"a progress head with bins in {folder}",
            got=f"{bins} output",
            remedy="take a checkpoint with discrete progress, as the published one has",
        )
    return bins


def head_shapes(hidden: int, outputs: int) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of one head: Linear, LayerNorm, GELU, Dropout, Linear."""
    half = hidden // 2
    return {
        "0.weight": (half, hidden),
        "0.bias": (half,),
        "1.weight": (half,),
        "1.bias": (half,),
        "4.weight": (outputs, half),
        "4.bias": (outputs,),
    }
