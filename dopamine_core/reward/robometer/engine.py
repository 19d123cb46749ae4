"""Clips of pixels come in, progress, success and preference go out.

Each picture is followed by the progress token, at which the heads read. Attention looks back only, so what would
follow the last token that is read is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from dopamine_core.reward.robometer.heads import Judged
from dopamine_core.reward.robometer.images import patches_of
from dopamine_core.reward.robometer.load import Robometer
from dopamine_core.reward.robometer.prompt import RobometerPrompt
from dopamine_core.reward.vlm.memory import room_for
from dopamine_core.reward.vlm.sequence import Batch, Chat, Patches, batch_of, chat_of, tokenise

Clip = Sequence[NDArray[np.uint8]]  # frames in order of time, (h, w, 3), sides multiples of 32


class Engine:
    """Asks a Robometer.

    :param robometer: loaded weights.
    :param prompt: words around the pictures.
    :param at_once: sequences of one pass.
    """

    def __init__(self, robometer: Robometer, prompt: RobometerPrompt, at_once: int = 4) -> None:
        self._robometer = robometer
        self._prompt = prompt
        self._at_once = at_once
        self._chat = Chat(chat_of(robometer.tokenizer).before, "")
        self._lock = Lock()  # the model keeps state between the parts of a pass

    def judge(self, asked: Sequence[tuple[str, Clip]]) -> list[Judged]:
        """Judge every frame of each clip; in a batch as alone.

        :param asked: task sentence and frames of each clip, at least one frame.
        :raises ModelError: when the device's memory does not suffice.
        """
        rows = [
            (self._prompt.progress_parts(task, len(clip)), [self._patches(frame) for frame in clip])
            for task, clip in asked
        ]
        made = self._states(rows, self._robometer.ids.progress)
        return [self._robometer.heads.judge(states) for states in made]

    def prefer(self, task: str, first: Clip, second: Clip) -> float:
        """Probability in [0, 1] that the first of two clips comes further with the task."""
        parts = self._prompt.preference_parts(task, len(first), len(second))
        images = [self._patches(frame) for frame in (*first, *second)]
        (states,) = self._states([(parts, images)], self._robometer.ids.preference)
        return float(self._robometer.heads.prefer(states)[0])

    def _patches(self, rgb: NDArray[np.uint8]) -> Patches:
        return patches_of(rgb, self._robometer.image_processor)

    def _states(
        self, rows: Sequence[tuple[list[str], list[Patches]]], token: int
    ) -> list[torch.Tensor]:
        """Hidden states at a token: (times that it occurs, hidden) for each row."""
        tokenizer = self._robometer.tokenizer
        states = []
        for begin in range(0, len(rows), self._at_once):
            block = [
                (tokenise(tokenizer, parts, self._chat), images)
                for parts, images in rows[begin : begin + self._at_once]
            ]
            batch = batch_of(block, tokenizer, pad_left=False)
            hidden = self._forward(batch)
            marks = batch.inputs["input_ids"] == token
            states += [row[mark] for row, mark in zip(hidden, marks, strict=True)]
        return states

    def _forward(self, batch: Batch) -> torch.Tensor:
        """Last hidden states: (B, L, hidden)."""
        inputs = {name: tensor.to(self._robometer.device) for name, tensor in batch.inputs.items()}
        with self._lock, torch.no_grad(), room_for("clips", self._robometer.device):
            return self._robometer.model(**inputs, use_cache=False).last_hidden_state
