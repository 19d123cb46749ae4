"""Tiny randomly initialised Qwen2.5-VL and Qwen3-VL checkpoints, saved in the published layout.

The tokenizer is a byte-level BPE trained on a few sentences and on the GRM's prompt, with the real special tokens in
the real order, so that ``<score>+12.5%</score>`` splits as it does for the real one (one token per digit, signs and
brackets merged) and the prompt is about as long.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2TokenizerFast,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from dopamine_core.reward.grm.prompt import own_prompt

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_NONE: Mapping[str, object] = MappingProxyType({})
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TEXT = [
    "the robot puts the blue block on the red one, START GOAL BEFORE AFTER front left right wrist camera",
    "<score>+12.5%</score> <score>-40.0%</score> <score>0.0%</score> <score>+7%</score> user system assistant",
    "ANSWER: 1 ANSWER: 2 ANSWER: 3 ANSWER: 4 ANSWER: 5 True False yes no percent progress task done",
] * 20
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% if message.content is string %}"
    "{{ message.content }}{% else %}{% for part in message.content %}{% if part.type == 'image' %}"
    "{% if add_vision_id %}Picture {{ loop.index }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
)


def write_tokenizer(folder: Path, *, default_system: bool) -> Qwen2TokenizerFast:
    """Train and save the tokenizer.

    :param default_system: whether the chat template adds a system turn, as Qwen2.5-VL's does.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1200, initial_alphabet=alphabet)
    bpe.train_from_iterator([*_TEXT, own_prompt().text], trainer)
    bpe.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer = Qwen2TokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = (_DEFAULT_SYSTEM if default_system else "") + _TEMPLATE
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_qwen2_5(
    folder: Path, seed: int = 0, vision: Mapping[str, object] = _NONE, **text: object
) -> Path:
    """Save a tiny Qwen2.5-VL.

    :param vision: replaces sizes of the vision tower.
    :param text: replaces sizes of the language model.
    """
    tokenizer = write_tokenizer(folder, default_system=True)
    config = Qwen2_5_VLConfig(
        text_config={**_text_sizes(len(tokenizer)), **_ends(tokenizer), "rope_parameters": _rope([2, 3, 3]), **text},
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": text.get("hidden_size", 64),
            "fullatt_block_indexes": [1],
            "window_size": 56,
            **vision,
        },
        **_token_ids(tokenizer),
    )
    torch.manual_seed(seed)
    _save(Qwen2_5_VLForConditionalGeneration(config), folder, tokenizer.eos_token_id)
    _preprocessor(folder, "Qwen2VLImageProcessor", "Qwen2_5_VLProcessor", patch=14)
    return folder


def write_qwen3(
    folder: Path, seed: int = 0, vision: Mapping[str, object] = _NONE, **text: object
) -> Path:
    """Save a tiny Qwen3-VL.

    :param vision: replaces sizes of the vision tower.
    :param text: replaces sizes of the language model.
    """
    tokenizer = write_tokenizer(folder, default_system=False)
    config = Qwen3VLConfig(
        text_config={
            **_text_sizes(len(tokenizer)),
            "head_dim": 16,
            "rope_parameters": {**_rope([4, 2, 2]), "mrope_interleaved": True},
            **text,
        },
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": text.get("hidden_size", 64),
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
            **vision,
        },
        **_token_ids(tokenizer),
    )
    torch.manual_seed(seed)
    _save(Qwen3VLForConditionalGeneration(config), folder, tokenizer.eos_token_id)
    _preprocessor(folder, "Qwen2VLImageProcessor", "Qwen3VLProcessor", patch=16)
    return folder


def _text_sizes(vocabulary: int) -> dict[str, object]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def _ends(tokenizer: Qwen2TokenizerFast) -> dict[str, int]:
    end = tokenizer.eos_token_id
    return {"bos_token_id": tokenizer.pad_token_id, "eos_token_id": end}


def _rope(section: list[int]) -> dict[str, object]:
    return {"rope_type": "default", "mrope_section": section, "rope_theta": 1e6}


def _token_ids(tokenizer: Qwen2TokenizerFast) -> dict[str, object]:
    name = tokenizer.convert_tokens_to_ids
    return {
        "image_token_id": name("<|image_pad|>"),
        "video_token_id": name("<|video_pad|>"),
        "vision_start_token_id": name("<|vision_start|>"),
        "vision_end_token_id": name("<|vision_end|>"),
        "tie_word_embeddings": True,
    }


def _save(model: torch.nn.Module, folder: Path, end: int) -> None:
    with torch.no_grad():  # livelier than the default scale, so that answers differ between images
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3.0)
    model.generation_config.eos_token_id = end
    model.generation_config.pad_token_id = model.generation_config.bos_token_id = 0
    model.save_pretrained(folder, max_shard_size="300KB")


def _preprocessor(folder: Path, image_class: str, processor_class: str, patch: int) -> None:
    mean = [0.48145466, 0.4578275, 0.40821073] if patch == 14 else [0.5] * 3
    std = [0.26862954, 0.26130258, 0.27577711] if patch == 14 else [0.5] * 3
    content = {
        "image_processor_type": image_class,
        "processor_class": processor_class,
        "patch_size": patch,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "min_pixels": 3136,
        "max_pixels": 12845056,
        "image_mean": mean,
        "image_std": std,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(content), encoding="utf-8")
