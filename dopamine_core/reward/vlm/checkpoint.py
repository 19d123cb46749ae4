"""A checkpoint's settings come in, a loaded model with tokenizer and image processor goes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from dopamine_core.config import check, setting
from dopamine_core.errors import MissingPackageError, ModelError
from dopamine_core.reward.vlm.files import CheckpointFiles, find_checkpoint, look_at
from dopamine_core.reward.vlm.memory import FOUR_BIT, NONE, check_memory, estimate_bytes

AUTO, SPREAD = "auto", "spread"
_DTYPES = {
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float32": torch.float32,
}


@dataclass(frozen=True)
class CheckpointConfig:
    """Which weights, and how they are kept. Back ends extend it by what is theirs."""

    path: str = setting("", doc="Checkpoint folder, or hub id like owner/name.")
    revision: str = setting("", doc="Commit, tag or branch of a hub id; empty: the newest.")
    offline: bool = setting(False, doc="Take hub ids from the local cache only.")
    dtype: str = setting(
        AUTO,
        doc="What the weights are kept in; auto: bfloat16 on a GPU, float32 on a CPU.",
        choices=(AUTO, *_DTYPES),
    )
    quantisation: str = setting(
        NONE, doc="4bit keeps the language model in 4 bits (a CUDA GPU).", choices=(NONE, FOUR_BIT)
    )
    device: str = setting(
        AUTO, doc="auto: a GPU where there is one; spread: over all GPUs; or cpu, cuda, cuda:1."
    )
    min_pixels: int = setting(12544, doc="Smallest image shown.", unit="px", low=784, high=10**7)
    max_pixels: int = setting(76800, doc="Largest image shown.", unit="px", low=784, high=10**8)

    def __post_init__(self) -> None:
        check(self)


@dataclass
class Checkpoint:
    """A loaded vision-language model.

    ``model`` is transformers' model for generation (``model.model`` is it without the language head), in evaluation
    mode, without gradients.
    """

    files: CheckpointFiles
    model: Any
    tokenizer: Any
    image_processor: Any
    device: torch.device

    @property
    def dtype(self) -> torch.dtype:
        """What embeddings are kept in."""
        return self.model.get_input_embeddings().weight.dtype


def load_checkpoint(config: CheckpointConfig, model_types: tuple[str, ...]) -> Checkpoint:
    """Load a checkpoint for generation.

    :param model_types: accepted values of ``model_type`` in ``config.json``.
    :raises ModelError: when files are missing, damaged, of another architecture or too large for the memory.
    :raises MissingPackageError: when 4-bit weights are asked for without bitsandbytes.
    """
    files = open_files(config, model_types)
    device, dtype = choose_device(config.device), choose_dtype(config)
    if config.device != SPREAD:
        what = str(files.folder.name)
        check_memory(estimate_bytes(files, dtype, config.quantisation), device, what)
    model = load_weights(AutoModelForImageTextToText, files.folder, config, device, dtype)
    tokenizer, image_processor = load_processors(files.folder, config)
    return Checkpoint(files, model.eval().requires_grad_(False), tokenizer, image_processor, device)


def open_files(config: CheckpointConfig, model_types: tuple[str, ...]) -> CheckpointFiles:
    """Find a checkpoint and check that it is whole.

    :raises ModelError: when it is not.
    """
    folder = find_checkpoint(config.path, revision=config.revision, offline=config.offline)
    return look_at(folder, model_types)


def load_processors(folder: Path, config: CheckpointConfig) -> tuple[Any, Any]:
    """Load tokenizer and image processor; the pixel limits are set on the very processor that is used.

    :raises ModelError: when they cannot be read.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        image_processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers raises many classes for damaged files
        raise ModelError(
            expected=f"tokenizer and image processor in {folder}",
            got=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            remedy="fetch the checkpoint again, it is incomplete",
        ) from error
    limits = {"shortest_edge": config.min_pixels, "longest_edge": config.max_pixels}
    image_processor.size = type(image_processor.size)(**limits)
    return tokenizer, image_processor


def choose_device(name: str) -> torch.device:
    """Turn a setting into a device.

    :raises ModelError: when there is no such device.
    """
    if name in (AUTO, SPREAD):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(
            expected="a device: auto, spread, cpu, cuda or cuda:N",
            got=f"{name!r}: {str(error).splitlines()[0]}",
            remedy="choose a device that this machine has",
        ) from error
    return device


def choose_dtype(config: CheckpointConfig) -> torch.dtype:
    """Turn settings into what the weights are kept in."""
    if config.dtype != AUTO:
        return _DTYPES[config.dtype]
    return torch.bfloat16 if choose_device(config.device).type == "cuda" else torch.float32


def load_weights(
    auto: Any,
    folder: Path,
    config: CheckpointConfig,
    device: torch.device,
    dtype: torch.dtype,
    extra: Mapping[str, Any] | None = None,
) -> Any:
    """Load a model's weights, all of them.

    :param auto: class with ``from_pretrained``.
    :param extra: further options of ``from_pretrained``.
    :raises ModelError: when weights are missing, of another shape, or the device has no room.
    :raises MissingPackageError: when 4-bit weights are asked for without bitsandbytes.
    """
    options: dict[str, Any] = {
        **(extra or {}),
        "dtype": dtype,
        "attn_implementation": "sdpa",
        "local_files_only": True,
        "output_loading_info": True,
        "ignore_mismatched_sizes": True,  # they are named below
        "device_map": "auto" if config.device == SPREAD else {"": device},
    }
    if config.quantisation == FOUR_BIT:
        options["quantization_config"] = _four_bit(dtype)
    try:
        model, info = auto.from_pretrained(folder, **options)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            expected=f"room for {folder.name} on {device}",
            got=str(error).splitlines()[0],
            remedy="end what else uses the device, or set quantisation: 4bit",
        ) from error
    except Exception as error:  # transformers raises many classes for damaged files
        raise ModelError(
            expected=f"weights that fit the configuration in {folder}",
            got=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            remedy="fetch the checkpoint again",
        ) from error
    absent = [*sorted(info["missing_keys"]), *(str(key) for key in sorted(info["mismatched_keys"]))]
    if absent:
        raise ModelError(
            expected=f"all weights of {type(model).__name__} in {folder}",
            got=f"{len(absent)} missing or of another shape, e.g. {absent[0]}",
            remedy="this is another architecture or a damaged checkpoint; fetch it again",
        )
    return model


def _four_bit(dtype: torch.dtype) -> Any:
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if find_spec("bitsandbytes") is None:
        raise MissingPackageError(
            expected="the package 'bitsandbytes' for 4-bit weights",
            got="no such package in this environment",
            remedy="install it: pip install 'robo_dopamine[quantised]'",
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=["visual", "lm_head"],
    )
