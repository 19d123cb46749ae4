"""SFT items come in, batches for the model go out: checked at the start, read from the disk when they are wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader

from dopamine_core.errors import DopamineError, LearnerError
from dopamine_core.frames.codec import from_compressed
from dopamine_core.reward.grm.grid import ScoreGrid
from dopamine_core.reward.grm.official_data import (
    IMAGE_MARK,
    SftItem,
    check_images,
    check_prompt,
    read_items,
)
from dopamine_core.reward.grm.prompt import GrmPrompt
from dopamine_core.reward.grm.training.collate import Question, collate_answers, collate_grid
from dopamine_core.reward.vlm.sequence import (
    Patches,
    chat_of,
    read_image,
    refuse_control_tokens,
    tokenise,
)


class Lessons(Protocol):
    """Everything that a model is to learn from."""

    @property
    def sha256(self) -> str:
        """Hash of the items, in their order."""

    def __len__(self) -> int:
        """Number of items."""

    def batch(self, numbers: Sequence[int]) -> Any:
        """Make one batch; it has ``to(device)``. Called in a loading process.

        :raises DopamineError: when an item cannot be read.
        """


@dataclass(frozen=True)
class HopItems:
    """Items with the folder that their images lie under."""

    items: tuple[SftItem, ...]
    roots: tuple[Path, ...]  # of each item
    sha256: str


def read_hop_items(files: Sequence[Path], prompt: GrmPrompt, root: Path | None = None) -> HopItems:
    """Read and check SFT files.

    :param prompt: what their questions must say.
    :param root: folder that images lie under; without it, each file's own.
    :raises LearnerError: when an item or an image is missing or not whole, or asks with another prompt.
    """
    items: list[SftItem] = []
    roots: list[Path] = []
    digest = hashlib.sha256()
    for path in files:
        found = read_items(path)
        check_prompt(found, prompt)
        check_images(found, root or path.parent)
        items += found
        roots += [root or path.parent] * len(found)
        digest.update(path.read_bytes())
    return HopItems(tuple(items), tuple(roots), digest.hexdigest())


class HopLessons:
    """Hop questions as the model reads them.

    :param data: checked items.
    :param tokenizer: of the model.
    :param image_processor: of the model, with the pixel limits set.
    :param grid: for the loss of the expected hop; None for the written answer.
    :raises ModelError: when a task holds a control token.
    """

    def __init__(
        self, data: HopItems, tokenizer: Any, image_processor: Any, grid: ScoreGrid | None
    ) -> None:
        for task in dict.fromkeys(item.task for item in data.items):
            refuse_control_tokens(task, tokenizer)
        self._data, self._tokenizer, self._grid = data, tokenizer, grid
        self._image_processor = image_processor
        self._chat = chat_of(tokenizer)
        self.sha256 = data.sha256

    def __len__(self) -> int:
        return len(self._data.items)

    def batch(self, numbers: Sequence[int]) -> Any:
        """Read images, tokenise and pad.

        :raises LearnerError: when an image cannot be read.
        """
        asked = [self._question(number) for number in numbers]
        if self._grid is None:
            return collate_answers(asked, self._tokenizer)
        return collate_grid(asked, self._tokenizer, self._grid)

    def _question(self, number: int) -> Question:
        item, root = self._data.items[number], self._data.roots[number]
        pieces = tokenise(self._tokenizer, item.question.split(IMAGE_MARK), self._chat)
        return Question(pieces, [self._image(item, root / name) for name in item.images], item.hop)

    def _image(self, item: SftItem, path: Path) -> Patches:
        try:
            return read_image(from_compressed(path.suffix, path.read_bytes(), 1), self._image_processor)
        except (DopamineError, OSError) as error:
            raise LearnerError(
                expected=f"a readable image {path} in item {item.id!r}",
                got=str(error),
                remedy="make the data again",
            ) from error


@dataclass(frozen=True)
class _Fault:
    """A named error on its way out of a loading process, which cannot send exceptions with keywords."""

    expected: str
    got: str
    remedy: str


class _Collate:
    def __init__(self, lessons: Lessons) -> None:
        self._lessons = lessons

    def __call__(self, numbers: list[int]) -> Any:
        try:
            return self._lessons.batch(numbers)
        except DopamineError as error:
            return _Fault(error.expected, error.got, error.remedy)


def batches(
    lessons: Lessons, passes: Iterator[list[int]], workers: int, device: torch.device
) -> Iterator[Any]:
    """Load batches ahead of their use.

    :param passes: item numbers of each batch.
    :param workers: loading processes; 0 loads in this one.
    :raises LearnerError: when an item cannot be read.
    """
    torch.multiprocessing.set_sharing_strategy("file_system")  # batches hold more tensors than files may be open
    loader = DataLoader(
        range(len(lessons)),  # type: ignore[arg-type]
        batch_sampler=passes,  # type: ignore[arg-type]
        collate_fn=_Collate(lessons),
        num_workers=workers,
        generator=torch.Generator(),  # or it would draw from the model's chance when it starts
    )
    for batch in _loaded(loader):
        if isinstance(batch, _Fault):
            raise LearnerError(expected=batch.expected, got=batch.got, remedy=batch.remedy)
        yield batch.to(device)


def _loaded(loader: Iterable[Any]) -> Iterator[Any]:
    """Say what it means when a loading process is gone; torch has no class of its own for it."""
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise LearnerError(
            expected="loading processes that live as long as the run",
            got=str(error).splitlines()[0],
            remedy="set fewer workers or free memory, then continue with --resume",
        ) from error
