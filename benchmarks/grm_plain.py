"""The GRM as transformers alone runs it: every image looked at for every query, every token computed every time.

What ``grm_latency`` measures against, and what tests compare the engine's numbers with.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import GenerationConfig

from dopamine_core.reward.grm.prompt import GrmPrompt
from dopamine_core.reward.vlm.checkpoint import Checkpoint
from dopamine_core.reward.vlm.sequence import Batch, batch_of, chat_of, read_image, tokenise
from dopamine_core.types import EncodedImage

PlainQuery = tuple[str, Sequence[EncodedImage]]  # task and eight images


class PlainGrm:
    """Answers with transformers' ``forward`` and ``generate``.

    :param checkpoint: a Qwen2.5-VL or Qwen3-VL.
    :param prompt: words around the images.
    """

    def __init__(self, checkpoint: Checkpoint, prompt: GrmPrompt) -> None:
        self._checkpoint = checkpoint
        self._prompt = prompt
        self._chat = chat_of(checkpoint.tokenizer)

    def batch(self, queries: Sequence[PlainQuery], answers: Sequence[Sequence[int]] = ()) -> Batch:
        """Pad queries to a batch on the model's device, with given answers behind them."""
        sequences = []
        for k, (task, images) in enumerate(queries):
            pieces = tokenise(self._checkpoint.tokenizer, self._prompt.parts(task), self._chat)
            if answers:
                pieces[-1] = [*pieces[-1], *answers[k]]
            shown = [read_image(image, self._checkpoint.image_processor) for image in images]
            sequences.append((pieces, shown))
        batch = batch_of(sequences, self._checkpoint.tokenizer, pad_left=True)
        moved = {name: value.to(self._checkpoint.device) for name, value in batch.inputs.items()}
        return Batch(moved, batch.lengths)

    @torch.inference_mode()
    def logits(
        self, queries: Sequence[PlainQuery], answers: Sequence[Sequence[int]]
    ) -> list[torch.Tensor]:
        """Logits before each token of given answers, (n, V) each."""
        made = self._checkpoint.model(**self.batch(queries, answers).inputs).logits
        return [
            rows[-len(ids) - 1 : -1].float().cpu()
            for rows, ids in zip(made, answers, strict=True)
        ]

    @torch.inference_mode()
    def write(self, queries: Sequence[PlainQuery], tokens: int) -> list[list[int]]:
        """Generate exactly so many tokens greedily, all queries in one batch; the end token is one like others."""
        inputs = self.batch(queries).inputs
        never = self._checkpoint.model.config.get_text_config().vocab_size  # no token has this id
        forced = GenerationConfig(
            do_sample=False, max_new_tokens=tokens, pad_token_id=0, eos_token_id=never
        )
        made = self._checkpoint.model.generate(**inputs, generation_config=forced)
        return made[:, inputs["input_ids"].shape[1] :].tolist()
