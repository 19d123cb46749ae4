"""A demonstration's start and goal go into an adapted model's folder and come back as the model's references."""

from __future__ import annotations

import json
from pathlib import Path

from dopamine_core.errors import ImageError, ModelError
from dopamine_core.frames.codec import decode, encode, from_compressed
from dopamine_core.reward.session import References
from dopamine_core.types import CAMERAS, EncodedImage, FramePair

FOLDER = "references"
DESCRIPTIONS = ("model.json", "adaptation.json")  # of nano, of a GRM's adapter


def save_references(folder: Path, start: FramePair, goal: FramePair) -> None:
    """Write ``references/{start,goal}_{front,wrist}.jpg``; JPEG bytes stay as they came."""
    target = folder / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for name, pair in (("start", start), ("goal", goal)):
        for camera, image in zip(CAMERAS, (pair.front, pair.wrist), strict=True):
            if image.data:  # a missing wrist view leaves no file
                (target / f"{name}_{camera}.jpg").write_bytes(_jpeg(image))


def _jpeg(image: EncodedImage) -> bytes:
    return image.data if image.format == "jpeg" else encode(decode(image), 1, 95).data


def load_references(folder: Path | str) -> References:
    """Read what an adapted model is shown of its task.

    :param folder: adapted model's folder.
    :raises ModelError: when it was not adapted, or its images are missing or unreadable.
    """
    folder = Path(folder)
    try:
        task = json.loads(_description(folder).read_text(encoding="utf-8"))["task"]
        start, goal = (_pair(folder / FOLDER, name) for name in ("start", "goal"))
    except (OSError, ValueError, KeyError, ImageError) as error:
        raise ModelError(
            expected=f"an adapted model with its task and {FOLDER}/ in {folder}",
            got=f"{type(error).__name__}: {error}",
            remedy="adapt the model again",
        ) from error
    return References(task, (goal,), start)


def _description(folder: Path) -> Path:
    """File that says what the folder is; the first name stands in the error when none is there."""
    found = [folder / name for name in DESCRIPTIONS if (folder / name).exists()]
    return found[0] if found else folder / DESCRIPTIONS[0]


def _pair(folder: Path, name: str) -> FramePair:
    front = from_compressed("jpeg", (folder / f"{name}_front.jpg").read_bytes(), 1)
    wrist = folder / f"{name}_wrist.jpg"
    if wrist.exists():
        return FramePair(front, from_compressed("jpeg", wrist.read_bytes(), 1))
    return FramePair(front, EncodedImage(1, "jpeg", b"", front.width, front.height))
