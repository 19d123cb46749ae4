"""A message of text and images comes in, the token sequence that a Qwen-VL model reads goes out.

An image stands in the sequence as ``<|vision_start|>``, one ``<|image_pad|>`` per merged patch, ``<|vision_end|>``.
Positions have three axes (time, height, width): text steps along all of them, an image spans a grid from where the
text stopped, and text goes on after its longer side (M-RoPE; transformers' ``get_rope_index``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dopamine_core.errors import ImageError, ModelError
from dopamine_core.frames.codec import decode
from dopamine_core.types import EncodedImage

IMAGE_PAD = "<|image_pad|>"
IMAGE = f"<|vision_start|>{IMAGE_PAD}<|vision_end|>"
_HERE = "\x02"  # marks the user's message in a rendered chat template


@dataclass(frozen=True)
class Patches:
    """An image as the vision tower reads it."""

    pixels: torch.Tensor  # (h * w, D) float32, patches in merge order
    grid: tuple[int, int, int]  # 1, h, w in patches
    merge: int  # patches per token along one side

    @property
    def tokens(self) -> int:
        """Tokens that stand for the image."""
        return self.grid[1] * self.grid[2] // self.merge**2


def read_image(image: EncodedImage, image_processor: Any) -> Patches:
    """Decode, resize within the processor's pixel limits and cut into patches.

    :raises ImageError: when the bytes cannot be decoded, or the shape cannot be shown.
    """
    rgb = decode(image)  # (H, W, 3) uint8
    try:
        made = image_processor(images=[rgb], return_tensors="pt", input_data_format="channels_last")
    except ValueError as error:
        raise ImageError(
            expected="an image whose sides differ by less than a factor of 200",
            got=f"{rgb.shape[1]} x {rgb.shape[0]}: {error}",
            remedy="crop the camera image",
        ) from error
    _, height, width = (int(n) for n in made["image_grid_thw"][0])
    return Patches(made["pixel_values"].float(), (1, height, width), image_processor.merge_size)


@dataclass(frozen=True)
class Chat:
    """What a chat template puts around one user message.

    :param before: up to the message.
    :param after: from the message's end to where the assistant begins.
    """

    before: str
    after: str


def chat_of(tokenizer: Any) -> Chat:
    """Read the tokenizer's chat template.

    :raises ModelError: when there is none, or it does not pass a message on as it is.
    """
    message = [{"role": "user", "content": [{"type": "text", "text": _HERE}]}]
    try:
        text = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # jinja's and transformers' classes
        raise ModelError(
            expected="a tokenizer with a chat template",
            got=f"{type(error).__name__}: {error}",
            remedy="fetch the checkpoint again, it is incomplete",
        ) from error
    before, _, after = text.partition(_HERE)
    if _HERE not in text:
        raise ModelError(
            expected="a chat template that passes the message on",
            got=repr(text),
            remedy="take the published tokenizer files",
        )
    return Chat(before, after)


def tokenise(tokenizer: Any, parts: Sequence[str], chat: Chat) -> list[list[int]]:
    """Tokenise a message with images between its parts.

    The whole message is tokenised at once, so that words merge across parts as they do in training.

    :param parts: text around the images, one more than there are images.
    :returns: token ids around the images, as many as parts; ``<|vision_start|>`` ends, ``<|vision_end|>`` begins one.
    """
    text = chat.before + IMAGE.join(parts) + chat.after
    ids = np.asarray(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64)
    marks = np.flatnonzero(ids == tokenizer.convert_tokens_to_ids(IMAGE_PAD))
    pieces = np.split(ids, marks)
    return [piece[1:].tolist() if k else piece.tolist() for k, piece in enumerate(pieces)]


def refuse_control_tokens(text: str, tokenizer: Any) -> None:
    """Check that a sentence holds none of the tokenizer's control tokens.

    :raises ModelError: when it does: it would end the message or show an image that is not there.
    """
    found = [token for token in tokenizer.get_added_vocab() if token in text]
    if found:
        raise ModelError(
            expected="a task sentence without control tokens",
            got=f"{found[0]!r} in {text!r}",
            remedy="write the task as plain words",
        )


def text_positions(start: int, length: int) -> NDArray[np.int64]:
    """Positions of text tokens: (3, length)."""
    return np.broadcast_to(np.arange(start, start + length), (3, length))


def image_positions(start: int, patches: Patches) -> NDArray[np.int64]:
    """Positions of an image's tokens: (3, tokens)."""
    rows, columns = patches.grid[1] // patches.merge, patches.grid[2] // patches.merge
    row, column = np.divmod(np.arange(rows * columns), columns)
    return start + np.stack([np.zeros_like(row), row, column])


def image_extent(patches: Patches) -> int:
    """How far positions advance over an image."""
    return max(patches.grid[1], patches.grid[2]) // patches.merge


@dataclass(frozen=True)
class Batch:
    """Padded sequences, as the model's own ``forward`` and ``generate`` take them."""

    inputs: dict[str, torch.Tensor]
    lengths: list[int]  # tokens per sequence without padding


def batch_of(
    sequences: Sequence[tuple[Sequence[Sequence[int]], Sequence[Patches]]],
    tokenizer: Any,
    *,
    pad_left: bool,
) -> Batch:
    """Pad sequences to one batch.

    :param sequences: token ids around the images, and the images; see ``tokenise``.
    :param pad_left: for generation; training pads at the right.
    """
    image_id = tokenizer.convert_tokens_to_ids(IMAGE_PAD)
    rows = [_flat(pieces, images, image_id) for pieces, images in sequences]
    longest = max(map(len, rows))
    ids = np.full((len(rows), longest), tokenizer.pad_token_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    for k, row in enumerate(rows):
        place = slice(longest - len(row), None) if pad_left else slice(0, len(row))
        ids[k, place], mask[k, place] = row, 1
    images = [image for _, shown in sequences for image in shown]
    return Batch(
        {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask),
            "mm_token_type_ids": torch.from_numpy((ids == image_id).astype(np.int64)),
            "pixel_values": torch.cat([image.pixels for image in images]),
            "image_grid_thw": torch.tensor([image.grid for image in images]),
        },
        [len(row) for row in rows],
    )


def _flat(
    pieces: Sequence[Sequence[int]], images: Sequence[Patches], image_id: int
) -> list[int]:
    row = list(pieces[0])
    for piece, image in zip(pieces[1:], images, strict=True):
        row += [image_id] * image.tokens + list(piece)
    return row
