"""Videos and task sentences come in, written answers or the probabilities of the five scores go out.

The video comes first, then the words: the other way round the published weights answer worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import torch
from transformers import GenerationConfig

from dopamine_core.errors import ModelError
from dopamine_core.reward.roboreward.answer import SCORES
from dopamine_core.reward.roboreward.prompt import RoboRewardPrompt
from dopamine_core.reward.roboreward.video import VIDEO_PAD, Video
from dopamine_core.reward.vlm.checkpoint import Checkpoint
from dopamine_core.reward.vlm.memory import room_for
from dopamine_core.reward.vlm.sequence import chat_of

_ANSWERS = tuple(f"ANSWER: {score}" for score in SCORES)
_VIDEO_TYPE = 2  # of a token, as Qwen3-VL counts: text, image, video


@dataclass(frozen=True)
class Question:
    """A task and the video that ends where it is asked about."""

    task: str
    video: Video


@dataclass(frozen=True)
class Weighed:
    """Probabilities of the five scores, given that one is answered, and that one is answered at all."""

    scores: tuple[float, ...]  # five, sum 1
    mass: float  # in [0, 1]


class Engine:
    """Asks a RoboReward.

    :param checkpoint: a Qwen3-VL.
    :param prompt: words after the video.
    :param at_once: questions of one pass.
    :raises ModelError: when the tokenizer does not end the five answers in one token each.
    """

    def __init__(self, checkpoint: Checkpoint, prompt: RoboRewardPrompt, at_once: int = 2) -> None:
        self._checkpoint = checkpoint
        self._prompt = prompt
        self._at_once = at_once
        self._chat = chat_of(checkpoint.tokenizer)
        self._opening, self._digits = _answer_tokens(checkpoint.tokenizer)
        self._lock = Lock()  # the model keeps state between the parts of a pass

    def write(self, questions: Sequence[Question], max_tokens: int) -> list[str]:
        """Let the model write its answers greedily.

        :raises ModelError: when the device's memory does not suffice.
        """
        model, tokenizer = self._checkpoint.model, self._checkpoint.tokenizer
        greedy = GenerationConfig(
            do_sample=False,
            max_new_tokens=max_tokens,
            eos_token_id=model.generation_config.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        answers = []
        for block in self._blocks(questions):
            inputs = self._inputs(block, ())
            with self._lock, torch.no_grad(), room_for("videos", self._checkpoint.device):
                ids = model.generate(**inputs, generation_config=greedy)
            written = ids[:, inputs["input_ids"].shape[1] :]
            answers += tokenizer.batch_decode(written, skip_special_tokens=True)
        return answers

    def weigh(self, questions: Sequence[Question]) -> list[Weighed]:
        """Read the probabilities of the answers ``ANSWER: 1`` ... ``ANSWER: 5`` in one pass.

        :raises ModelError: when the device's memory does not suffice.
        """
        weighed = []
        for block in self._blocks(questions):
            with self._lock, torch.no_grad(), room_for("videos", self._checkpoint.device):
                made = self._checkpoint.model(
                    **self._inputs(block, self._opening),
                    use_cache=False,
                    logits_to_keep=len(self._opening) + 1,
                )
            logs = torch.log_softmax(made.logits.float(), dim=-1).cpu()  # (B, opening + 1, V)
            opening = logs[:, torch.arange(len(self._opening)), self._opening].sum(-1)
            digits = logs[:, -1, self._digits]
            masses = (opening + torch.logsumexp(digits, -1)).exp().tolist()
            shares = torch.softmax(digits, -1).tolist()
            weighed += [Weighed(tuple(s), mass) for s, mass in zip(shares, masses, strict=True)]
        return weighed

    def _blocks(self, questions: Sequence[Question]) -> list[Sequence[Question]]:
        return [
            questions[begin : begin + self._at_once]
            for begin in range(0, len(questions), self._at_once)
        ]

    def _inputs(
        self, questions: Sequence[Question], tail: Sequence[int]
    ) -> dict[str, torch.Tensor]:
        """Padded questions, each followed by a tail of tokens, on the model's device."""
        rows = [[*self.tokens(question), *tail] for question in questions]
        tokenizer, longest = self._checkpoint.tokenizer, max(map(len, rows))
        ids = torch.full((len(rows), longest), tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for k, row in enumerate(rows):
            ids[k, longest - len(row) :] = torch.tensor(row)
            mask[k, longest - len(row) :] = 1
        video = ids == tokenizer.convert_tokens_to_ids(VIDEO_PAD)
        inputs = {
            "input_ids": ids,
            "attention_mask": mask,
            "mm_token_type_ids": video.long() * _VIDEO_TYPE,
            "pixel_values_videos": torch.cat([question.video.pixels for question in questions]),
            "video_grid_thw": torch.tensor([question.video.grid for question in questions]),
        }
        return {name: tensor.to(self._checkpoint.device) for name, tensor in inputs.items()}

    def tokens(self, question: Question) -> list[int]:
        """Return the whole message as tokens, the assistant's turn begun."""
        words = self._prompt.words(question.task)
        text = self._chat.before + question.video.text + words + self._chat.after
        return list(self._checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"])


def _answer_tokens(tokenizer: object) -> tuple[list[int], list[int]]:
    """Tokens that the five answers share, and the one that each ends in."""
    rows = [tokenizer(answer, add_special_tokens=False)["input_ids"] for answer in _ANSWERS]  # type: ignore[operator]
    openings = {tuple(row[:-1]) for row in rows}
    digits = [row[-1] for row in rows]
    if len(openings) != 1 or len(set(digits)) != len(rows):
        raise ModelError(
            expected=f"a tokenizer that gives {', '.join(_ANSWERS)} one token each after the same ones",
            got=str(rows),
            remedy="take the published tokenizer files",
        )
    return list(openings.pop()), digits
