"""Recordings that a crash cut short come in at the next start, files that stock tools open go out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dopamine_core.episodes.bag import (
    PARTIAL,
    BagContent,
    read_what_is_there,
    rewrite,
    writing,
)
from dopamine_core.errors import RecordingError

RECOVERED = "recovered"


@dataclass(frozen=True)
class Recovery:
    """What became of one cut recording.

    :param path: the file it is in now; the partial one itself when nothing could be read.
    :param messages: messages that were saved.
    :param text: in words.
    """

    path: Path
    messages: int
    text: str


def recover_folder(folder: Path) -> list[Recovery]:
    """Recover every cut recording in a folder; one that cannot be is named and left alone.

    :param folder: may be missing, then nothing was recorded there.
    """
    for leftover in folder.glob(f"*.rewrite{PARTIAL}"):
        leftover.unlink(missing_ok=True)  # half of a copy; its source is still there
    return [_try(partial) for partial in sorted(folder.glob(f"*.mcap{PARTIAL}"))]


def recover(partial: Path) -> Recovery:
    """Rewrite a cut recording into a whole file; the part behind the last sound chunk is dropped.

    The partial file is removed only after the new one is on the disk.

    :param partial: ``<name>.mcap.partial``; the new file is ``<name>.mcap``.
    :raises RecordingError: when it is no MCAP or the disk refuses.
    """
    content = read_what_is_there(partial)
    target = partial.with_name(partial.name.removesuffix(PARTIAL))
    note = {RECOVERED: {"from": partial.name, "messages": str(len(content.messages))}}
    if content.messages:
        rewrite(BagContent(content.messages, {**content.metadata, **note}, True), target)
    with writing(partial):
        partial.unlink()
    found = f"{len(content.messages)} messages saved" if content.messages else "nothing was in it"
    return Recovery(target, len(content.messages), f"{partial.name}: {found}")


def _try(partial: Path) -> Recovery:
    try:
        return recover(partial)
    except RecordingError as error:
        return Recovery(partial, 0, f"{partial.name} cannot be recovered: {error}")
