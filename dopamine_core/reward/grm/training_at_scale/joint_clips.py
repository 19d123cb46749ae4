"""Token sequences of clips come in, progress, success and preference as logits go out, as Robometer reads them.

Each picture is followed by the progress token, at which the heads read; the preference token follows a pair of clips.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dopamine_core.errors import LearnerError
from dopamine_core.reward.grm.training_at_scale.joint_objective import ClipReading


class TokenClips(nn.Module):
    """A ``ClipModel`` of a language model with heads.

    :param body: transformers' model without language head; its output has ``last_hidden_state``.
    :param heads: modules ``progress_head``, ``success_head`` and ``preference_head`` on a hidden state.
    :param progress_token: id of the token after each picture.
    :param preference_token: id of the token after a pair of clips.
    :param frames: T, of the clip that is judged; of a pair, the first T pictures.
    """

    def __init__(
        self, body: nn.Module, heads: Any, *, progress_token: int, preference_token: int, frames: int
    ) -> None:
        super().__init__()
        self.body, self.heads = body, heads
        self._progress_token, self._preference_token = progress_token, preference_token
        self._frames = frames

    def forward(self, **inputs: Tensor) -> ClipReading:
        """Read B sequences, padded at the right.

        :param inputs: what ``body`` takes, ``input_ids`` (B, L) among them.
        :raises LearnerError: when a sequence has fewer progress tokens than frames are judged.
        """
        hidden = self.body(**inputs, use_cache=False).last_hidden_state  # (B, L, H)
        rows = torch.arange(len(hidden), device=hidden.device)
        states = hidden[rows[:, None], self._places(inputs["input_ids"])]  # (B, T, H)
        # Without a pair there is no such token; place 0 is read, and its label is not known.
        end = (inputs["input_ids"] == self._preference_token).int().argmax(1)
        return ClipReading(
            self.heads.progress_head(states),
            self.heads.success_head(states)[..., 0],
            self.heads.preference_head(hidden[rows, end])[..., 0],
        )

    def _places(self, ids: Tensor) -> Tensor:
        """(B, T) where the first T progress tokens stand."""
        marks = ids == self._progress_token
        if int(marks.sum(1).min()) < self._frames:
            raise LearnerError(
                expected=f"{self._frames} progress tokens in each sequence",
                got=str(int(marks.sum(1).min())),
                remedy="show as many pictures as frames are judged",
            )
        return (~marks).int().argsort(dim=1, stable=True)[:, : self._frames]
