"""Images come in, their tokens as the language model sees them go out; a frozen vision tower looks at each once.

What is kept of an image is what enters the projector (Qwen2.5-VL's ``merger``, Qwen3-VL's ``merger`` and
``deepstack_merger_list``); the projector itself runs for every batch, because it may be learning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from dopamine_core.reward.grm.training.randomness import own_random
from dopamine_core.reward.vlm.sequence import Patches


@dataclass(frozen=True)
class _Seen:
    """One image after the frozen part of the tower."""

    image: Patches  # held, so that its identity stays its own
    entering: list[Tensor]  # per projector: (h * w, C), on the CPU
    order: Tensor  # (tokens,) row of the main projector's output that comes at each place


class FrozenVision:
    """The vision tower of a model whose blocks do not learn.

    :param model: transformers' Qwen-VL model for generation.
    """

    def __init__(self, model: Any) -> None:
        self._visual = model.model.visual
        self._deep = list(getattr(self._visual, "deepstack_merger_list", []))
        self._seen: dict[int, _Seen] = {}  # by identity of the image

    def outputs(self, images: Sequence[Patches]) -> SimpleNamespace:
        """Return what transformers' ``forward`` takes as ``mm_encoder_outputs["image"]``.

        :param images: in the order of their tokens; repeated ones are projected once.
        :returns: ``pooler_output``: per image (tokens, H); ``deepstack_features``: per layer and image (tokens, H).
        """
        distinct = list({id(image): image for image in images}.values())
        seen = [self._look(image) for image in distinct]
        sizes = [image.tokens for image in distinct]
        projected = [
            torch.split(projector(self._entering(seen, k)), sizes)
            for k, projector in enumerate((self._visual.merger, *self._deep))
        ]
        place = {id(image): k for k, image in enumerate(distinct)}
        order = [part.order.to(self._device) for part in seen]
        main = [rows[rank] for rows, rank in zip(projected[0], order, strict=True)]
        return SimpleNamespace(
            pooler_output=[main[place[id(image)]] for image in images],
            deepstack_features=[
                [rows[place[id(image)]] for image in images] for rows in projected[1:]
            ],
        )

    @property
    def _device(self) -> torch.device:
        return self._visual.device

    def _entering(self, seen: Sequence[_Seen], projector: int) -> Tensor:
        return torch.cat([part.entering[projector] for part in seen]).to(self._device)

    @torch.no_grad()
    def _look(self, image: Patches) -> _Seen:
        """Run the tower on one image; what enters each projector is caught on the way.

        The main projector's output is replaced by its row numbers: what the tower returns then is the order of rows.
        """
        if id(image) in self._seen:
            return self._seen[id(image)]
        caught: dict[int, Tensor] = {}

        def number_rows(_: Any, inputs: Any, output: Tensor) -> Tensor:
            caught[0] = inputs[0]
            rows = torch.arange(len(output), device=output.device)
            return rows[:, None]

        def catch(k: int) -> Any:
            return lambda _, inputs: caught.__setitem__(k, inputs[0])

        hooks = [self._visual.merger.register_forward_hook(number_rows)]
        hooks += [
            module.register_forward_pre_hook(catch(k)) for k, module in enumerate(self._deep, 1)
        ]
        try:
            pixels = image.pixels.to(self._device, self._visual.dtype)
            grid = torch.tensor([image.grid], device=self._device)
            with own_random(0, self._device):  # adapters' dropout here must not shift the step's
                order = self._visual(pixels, grid_thw=grid).pooler_output[:, 0]
        finally:
            for hook in hooks:
                hook.remove()
        entering = [caught[k].cpu() for k in range(1 + len(self._deep))]
        self._seen[id(image)] = _Seen(image, entering, order.cpu())
        return self._seen[id(image)]
