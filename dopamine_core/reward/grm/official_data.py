"""Files of the official trainer come in and go out: episode folders' annotations, and SFT items.

An episode folder holds ``cam_high.mp4``, ``cam_left_wrist.mp4``, ``cam_right_wrist.mp4`` and
``annotated_keyframes.json``; ``task_instruction.json`` lies in it or beside it. An SFT item is one question with eight
images and the answer that is to be learned. The formats' facts: github.com/FlagOpen/Robo-Dopamine, ``dataset/``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dopamine_core.errors import DemonstrationError, LearnerError
from dopamine_core.reward.grm.answer import read_hop, write_hop
from dopamine_core.reward.grm.prompt import GrmPrompt
from dopamine_core.reward.grm.views import IMAGES

FRONT, LEFT, RIGHT = CAMERAS = ("cam_high", "cam_left_wrist", "cam_right_wrist")
KEYFRAMES_FILE = "annotated_keyframes.json"
TASK_FILE = "task_instruction.json"
IMAGE_MARK = "<image>"
_NAMED_FAULTS = 3  # faults that a message spells out


@dataclass(frozen=True)
class Segment:
    """One annotated part of an episode, from its first to its last frame.

    :param text: what is done in it.
    :param start: frame index, >= 0.
    :param end: frame index, > start.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class SftItem:
    """One question with its answer.

    :param images: eight paths relative to the data's root, in the order of ``grm.views.SLOTS``.
    :param task: one sentence.
    :param question: the whole prompt, ``<image>`` eight times.
    :param answer: ``<score>+12.5%</score>``.
    """

    id: str
    images: tuple[str, ...]
    task: str
    question: str
    answer: str

    @property
    def hop(self) -> float:
        """The label, in [-1, 1].

        :raises LearnerError: when the answer holds none.
        """
        hop = read_hop(self.answer)
        if hop is None:
            raise LearnerError(
                expected=f"a score in item {self.id!r}",
                got=repr(self.answer),
                remedy="make the data again",
            )
        return hop

    def as_json(self) -> dict[str, Any]:
        """The item as the official trainer reads it."""
        return {
            "id": self.id,
            "image": list(self.images),
            "task": self.task,
            "conversations": [
                {"from": "human", "value": self.question},
                {"from": "gpt", "value": self.answer},
            ],
        }


def sft_item(
    item_id: str, images: Sequence[str], task: str, hop: float, prompt: GrmPrompt
) -> SftItem:
    """Make an item.

    :param hop: label in [-1, 1].
    """
    return SftItem(item_id, tuple(images), task, sft_question(prompt, task), write_hop(hop))


def sft_question(prompt: GrmPrompt, task: str) -> str:
    """Return the whole question. The official data show the task bare, where inference has back-ticks around it."""
    if prompt.name == "official":
        prompt = GrmPrompt(prompt.name, prompt.text.replace("`{task}`", "{task}"))
    return IMAGE_MARK.join(prompt.parts(task))


def read_items(path: Path) -> list[SftItem]:
    """Read SFT items: a JSON list, or one JSON object a line in ``*.jsonl``.

    :raises LearnerError: when the file cannot be read, or an item is not whole: eight images, a question with eight
        ``<image>``, a readable score. The message counts them and names the first.
    """
    try:
        text = path.read_text(encoding="utf-8")
        lines = path.suffix == ".jsonl"
        rows = [json.loads(line) for line in text.splitlines() if line] if lines else json.loads(text)
        if not isinstance(rows, list) or not rows:
            raise ValueError("no list of items")
    except (OSError, ValueError) as error:
        raise LearnerError(
            expected=f"a JSON list of SFT items in {path}",
            got=f"{type(error).__name__}: {error}",
            remedy="make the data again with dopamine grm data",
        ) from error
    faults = [fault for number, row in enumerate(rows) for fault in _fault(number, row)]
    _refuse(faults, len(rows), path)
    return [_item(row) for row in rows]


def check_images(items: Iterable[SftItem], root: Path) -> None:
    """Check that every image is there.

    :param root: folder that the items' paths are relative to.
    :raises LearnerError: with the number of those that are not, and the first.
    """
    named = dict.fromkeys(image for item in items for image in item.images)
    _refuse([f"no file {image}" for image in named if not (root / image).is_file()], len(named), root)


def check_prompt(items: Iterable[SftItem], prompt: GrmPrompt) -> None:
    """Check that the items ask with the words of a prompt, task aside.

    :raises LearnerError: when one does not: a model answers best to the words it was trained with.
    """
    asked: dict[str, set[str]] = {}
    for item in items:
        if item.task not in asked:
            as_asked = IMAGE_MARK.join(prompt.parts(item.task))
            asked[item.task] = {sft_question(prompt, item.task), as_asked}
        if item.question not in asked[item.task]:
            raise LearnerError(
                expected=f"questions with the prompt {prompt.name!r}, sha256 {prompt.sha256}",
                got=f"another text in item {item.id!r}",
                remedy="name the prompt that the data were made with, or make them again with this one",
            )


def read_segments(folder: Path) -> tuple[Segment, ...]:
    """Read an episode folder's annotated parts.

    :raises DemonstrationError: when there are none, or they do not follow each other.
    """
    path = folder / KEYFRAMES_FILE
    content = _read_json(path)
    try:
        segments = tuple(
            Segment(
                str(row.get("anotation", row.get("annotation", ""))),
                _index(row["start_frame_id"]),
                _index(row["end_frame_id"]),
            )
            for row in content
        )
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise DemonstrationError(
            expected=f"a list of start_frame_id and end_frame_id in {path}",
            got=f"{type(error).__name__}: {error}",
            remedy="correct the annotation",
        ) from error
    ordered = all(a.end <= b.start for a, b in itertools.pairwise(segments))
    if not segments or not ordered or any(s.start < 0 or s.start >= s.end for s in segments):
        raise DemonstrationError(
            expected=f"at least one part in {path}, each ending after it starts and before the next",
            got=", ".join(f"{s.start}-{s.end}" for s in segments) or "none",
            remedy="correct the annotation",
        )
    return segments


def read_tasks(folder: Path) -> tuple[str, ...]:
    """Read the paraphrases of an episode folder's task; the folder's own file goes before the one beside it.

    :raises DemonstrationError: when there are none.
    """
    own = folder / TASK_FILE
    path = own if own.exists() else folder.parent / TASK_FILE
    content = _read_json(path)
    if isinstance(content, dict):
        content = content.get("instructions") or [content.get("instruction")]
    return checked_tasks(content if isinstance(content, list) else [content], path)


def checked_tasks(texts: Sequence[Any], where: Path) -> tuple[str, ...]:
    """Check that sentences can stand in a question.

    :raises DemonstrationError: when there are none, or one is empty, no text, or holds the mark of an image.
    """
    bad = [text for text in texts if not isinstance(text, str) or not text.strip() or IMAGE_MARK in text]
    if bad or not texts:
        raise DemonstrationError(
            expected=f"the task in {where}, one sentence or several",
            got=repr(bad[0]) if bad else "none",
            remedy="write the task as plain words",
        )
    return tuple(texts)


def write_annotations(folder: Path, segments: Sequence[Segment], tasks: Sequence[str]) -> None:
    """Write both annotation files of an episode folder."""
    rows = [
        {"anotation": s.text, "start_frame_id": s.start, "end_frame_id": s.end} for s in segments
    ]
    for name, content in ((KEYFRAMES_FILE, rows), (TASK_FILE, list(tasks))):
        text = json.dumps(content, ensure_ascii=False, indent=4)
        (folder / name).write_text(text + "\n", encoding="utf-8")


def _fault(number: int, row: Any) -> list[str]:
    """Say what is wrong with one item, if anything is."""
    try:
        item = _item(row)
    except (TypeError, KeyError, ValueError) as error:
        return [f"item {number} is no SFT item ({type(error).__name__}: {error})"]
    faults = []
    if len(item.images) != IMAGES or not all(isinstance(image, str) for image in item.images):
        faults.append(f"item {item.id!r} has {len(item.images)} images instead of {IMAGES}")
    if item.question.count(IMAGE_MARK) != IMAGES:
        faults.append(f"item {item.id!r} has {item.question.count(IMAGE_MARK)} times {IMAGE_MARK}")
    if read_hop(item.answer) is None:
        faults.append(f"item {item.id!r} answers {item.answer!r}")
    return faults[:1]


def _item(row: Any) -> SftItem:
    human, gpt = row["conversations"]
    if (human["from"], gpt["from"]) != ("human", "gpt") or not isinstance(row["image"], list):
        raise ValueError("no list of images, or no turn of human and gpt")
    texts = (row["id"], row["task"], human["value"], gpt["value"])
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("id, task and values are texts")
    return SftItem(texts[0], tuple(row["image"]), *texts[1:])


def _refuse(faults: Sequence[str], count: int, where: Path) -> None:
    if faults:
        more = "" if len(faults) <= _NAMED_FAULTS else ", ..."
        raise LearnerError(
            expected=f"{count} whole entries in {where}",
            got=f"{len(faults)} that are not: {'; '.join(faults[:_NAMED_FAULTS])}{more}",
            remedy="make the data again, or name the folder that the images lie under",
        )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DemonstrationError(
            expected=f"a readable {path.name} at {path}",
            got=f"{type(error).__name__}: {error}",
            remedy="complete the episode folder",
        ) from error


def _index(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no frame index")
    return value
