"""A task, four moments and a hop label come in, a question for the model goes out.

Every distinct image is decoded and cut into patches once, every task tokenised once.
"""

from __future__ import annotations

from typing import Any

from dopamine_core.reward.grm.prompt import GrmPrompt
from dopamine_core.reward.grm.training.collate import Question
from dopamine_core.reward.grm.views import eight_images
from dopamine_core.reward.vlm.sequence import (
    Patches,
    chat_of,
    read_image,
    refuse_control_tokens,
    tokenise,
)
from dopamine_core.types import EncodedImage, FramePair


class QuestionMaker:
    """Makes questions; remembers images and tasks.

    :param tokenizer: of the model.
    :param image_processor: of the model, with the pixel limits set.
    :param prompt: what the model is told.
    """

    def __init__(self, tokenizer: Any, image_processor: Any, prompt: GrmPrompt) -> None:
        self.tokenizer = tokenizer
        self._image_processor = image_processor
        self._prompt = prompt
        self._chat = chat_of(tokenizer)
        self._pieces: dict[str, list[list[int]]] = {}
        self._patches: dict[bytes, Patches] = {}

    def question(
        self,
        task: str,
        start: FramePair,
        goal: FramePair,
        before: FramePair,
        after: FramePair,
        hop: float,
    ) -> Question:
        """Make one question.

        :param hop: label in [-1, 1].
        :raises ImageError: when an image cannot be decoded or the front one is missing.
        :raises ModelError: when the task holds a control token.
        """
        shown = eight_images(start, goal, before, after)
        return Question(self._words(task), [self._image(image) for image in shown], hop)

    def _words(self, task: str) -> list[list[int]]:
        if task not in self._pieces:
            refuse_control_tokens(task, self.tokenizer)
            parts = self._prompt.parts(task)
            self._pieces[task] = tokenise(self.tokenizer, parts, self._chat)
        return self._pieces[task]

    def _image(self, image: EncodedImage) -> Patches:
        if image.data not in self._patches:
            self._patches[image.data] = read_image(image, self._image_processor)
        return self._patches[image.data]
