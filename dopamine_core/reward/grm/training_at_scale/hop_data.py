"""Episodes come in, a folder of hop data goes out: frames, ``hop_data.json`` (SFT items), ``summary.json``.

An episode that cannot be used is left out with its error and the others go on. Each episode's folder appears whole or
not at all, so that a broken run is continued where it stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dopamine_core.config import check, setting
from dopamine_core.errors import DemonstrationError, DopamineError, LearnerError
from dopamine_core.reward.grm.official_data import (
    CAMERAS,
    FRONT,
    SftItem,
    sft_item,
)
from dopamine_core.reward.grm.prompt import GrmPrompt
from dopamine_core.reward.grm.training_at_scale.hop_pairs import (
    HopPair,
    PairConfig,
    choose_pairs,
    state_ids,
)
from dopamine_core.reward.grm.training_at_scale.sources import (
    FrameFiles,
    Source,
    filled,
    find_sources,
)

ITEMS_FILE, SUMMARY_FILE = "hop_data.json", "summary.json"
_EPISODE_FILE = "episode.json"
OnEpisode = Callable[[float, str], None]  # share of the whole in [0, 1], words


@dataclass(frozen=True)
class HopDataConfig(PairConfig):
    """How hop data are made."""

    swap_probability: float = setting(
        0.75, doc="How often START and GOAL show another episode of the task.", low=0.0, high=1.0
    )
    view_dropout: float = setting(
        0.0, doc="How often an item shows the front camera alone, in all slots.", low=0.0, high=1.0
    )
    seed: int = setting(0, doc="Seed; the same seed and episodes give the same data.", low=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class LeftOut:
    """An episode that gave nothing."""

    episode: str
    kind: str  # class of the error
    text: str


@dataclass(frozen=True)
class HopDataSummary:
    """What was made, and what was left out."""

    items: int
    zero_hops: int
    swapped: int  # items whose references show another episode
    images: int
    episodes: dict[str, int]  # states of each
    left_out: tuple[LeftOut, ...]
    prompt: str
    prompt_sha256: str
    items_sha256: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class _Lesson:
    """What one episode teaches; frames are paths relative to the data's root."""

    name: str
    tasks: tuple[str, ...]
    states: tuple[int, ...]
    pairs: tuple[HopPair, ...]
    frames: FrameFiles

    @property
    def references(self) -> tuple[str, str]:
        """START and GOAL, front camera."""
        return self.frames[FRONT][self.states[0]], self.frames[FRONT][self.states[-1]]


def make_hop_data(
    paths: Sequence[Path],
    out_dir: Path,
    prompt: GrmPrompt,
    config: HopDataConfig | None = None,
    on_episode: OnEpisode | None = None,
) -> HopDataSummary:
    """Make hop data of recordings and official episode folders.

    :param paths: MCAP files, episode folders, or folders of them.
    :param out_dir: continued when it holds data of the same settings.
    :param prompt: what the questions say.
    :raises DemonstrationError: when a path holds no episode, or none can be used.
    :raises LearnerError: when the folder cannot be written, or belongs to something else.
    """
    config = config or HopDataConfig()
    sources = find_sources(paths)
    lessons: list[_Lesson] = []
    left_out: list[LeftOut] = []
    for number, (name, source) in enumerate(sources.items()):
        if on_episode:
            on_episode(number / len(sources), name)
        try:
            lessons.append(_lesson(name, source, out_dir, config))
        except LearnerError:
            raise
        except DopamineError as error:
            left_out.append(LeftOut(name, type(error).__name__, str(error)))
    if not lessons:
        raise nothing_usable(left_out)
    return _write_items(lessons, left_out, out_dir, prompt, config)


def nothing_usable(left_out: Sequence[LeftOut]) -> DemonstrationError:
    """The error when every episode was left out."""
    return DemonstrationError(
        expected=f"at least one usable episode of {len(left_out)}",
        got="; ".join(f"{one.episode}: {one.text}" for one in left_out),
        remedy="correct the episodes",
    )


def _lesson(name: str, source: Source, out_dir: Path, config: HopDataConfig) -> _Lesson:
    """Make one episode's folder, or read the one that is there already."""
    place = out_dir / name
    settings = _pair_settings(config)
    try:
        mark = hashlib.sha256(f"{source.sha256()} {name} {settings}".encode()).hexdigest()
        kept = _read_lesson(place, mark)
        return kept or _new_lesson(name, source, place, mark, config)
    except OSError as error:
        raise LearnerError(
            expected=f"to read {source.path} and to write {place}",
            got=f"{type(error).__name__}: {error}",
            remedy="free space, or choose another folder",
        ) from error


def _pair_settings(config: HopDataConfig) -> str:
    """What an episode's folder depends on."""
    fields = dataclasses.asdict(config)
    del fields["swap_probability"], fields["view_dropout"]
    return json.dumps(fields, sort_keys=True)


def _new_lesson(
    name: str, source: Source, place: Path, mark: str, config: HopDataConfig
) -> _Lesson:
    said = source.annotation()
    states = state_ids(said.segments, config)
    pairs = choose_pairs(states, config, _chance(config.seed, name, "pairs"))
    ids = sorted({k for pair in pairs for k in (pair.before, pair.after)} | {int(states[0]), int(states[-1])})
    place.parent.mkdir(parents=True, exist_ok=True)
    for broken in place.parent.glob(f".{name}-*"):  # a run that was killed left it
        shutil.rmtree(broken)
    making = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=place.parent))
    try:
        files = filled(source.save(ids, making))
        frames = {c: {k: f"{name}/{files[c][k]}" for k in ids} for c in CAMERAS}
        lesson = _Lesson(name, said.tasks, tuple(map(int, states)), tuple(pairs), frames)
        content = {"mark": mark, **dataclasses.asdict(lesson)}
        (making / _EPISODE_FILE).write_text(json.dumps(content), encoding="utf-8")
        if place.exists():
            shutil.rmtree(place)  # of other settings, or it would have been kept
        making.chmod(0o755)
        os.replace(making, place)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return lesson


def _read_lesson(place: Path, mark: str) -> _Lesson | None:
    """Read an episode's folder; None when there is none, or one of other settings.

    :raises LearnerError: when the folder is not one of ours.
    """
    if not place.exists():
        return None
    try:
        content = json.loads((place / _EPISODE_FILE).read_text(encoding="utf-8"))
        if content.pop("mark") != mark:
            return None
        content["pairs"] = tuple(HopPair(**pair) for pair in content["pairs"])
        content["frames"] = {c: {int(k): f for k, f in named.items()} for c, named in content["frames"].items()}
        content["tasks"], content["states"] = tuple(content["tasks"]), tuple(content["states"])
        return _Lesson(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LearnerError(
            expected=f"no folder, or one of hop data, at {place}",
            got=f"{type(error).__name__}: {error}",
            remedy="choose another folder",
        ) from error


def _write_items(
    lessons: Sequence[_Lesson],
    left_out: Sequence[LeftOut],
    out_dir: Path,
    prompt: GrmPrompt,
    config: HopDataConfig,
) -> HopDataSummary:
    """Make and shuffle all items, swap references, write both files."""
    made = [pair for lesson in lessons for pair in _items(lesson, lessons, prompt, config)]
    order = np.random.default_rng([config.seed, len(made)]).permutation(len(made))
    items = [made[k][0] for k in order]
    text = json.dumps([item.as_json() for item in items], ensure_ascii=False, indent=2)
    summary = HopDataSummary(
        items=len(items),
        zero_hops=sum(item.hop == 0.0 for item in items),
        swapped=sum(swapped for _, swapped in made),
        images=len({image for item in items for image in item.images}),
        episodes={lesson.name: len(lesson.states) for lesson in lessons},
        left_out=tuple(left_out),
        prompt=prompt.name,
        prompt_sha256=prompt.sha256,
        items_sha256=hashlib.sha256(text.encode()).hexdigest(),
        settings=dataclasses.asdict(config),
    )
    said = json.dumps(dataclasses.asdict(summary), ensure_ascii=False, indent=2)
    try:
        write_whole(out_dir / ITEMS_FILE, text)
        write_whole(out_dir / SUMMARY_FILE, said + "\n")
    except OSError as error:
        raise LearnerError(
            expected=f"to write {out_dir}", got=str(error), remedy="free space, or choose another folder"
        ) from error
    return summary


def _items(
    lesson: _Lesson, lessons: Sequence[_Lesson], prompt: GrmPrompt, config: HopDataConfig
) -> list[tuple[SftItem, bool]]:
    """Make one episode's items; the second of each says whether its references were swapped."""
    rng = _chance(config.seed, lesson.name, "items")
    donors = [one for one in lessons if one is not lesson and one.tasks == lesson.tasks]
    made = []
    for number, pair in enumerate(lesson.pairs):
        swap = bool(donors) and rng.random() < config.swap_probability
        shown = donors[rng.integers(len(donors))] if swap else lesson
        task = lesson.tasks[rng.integers(len(lesson.tasks))]
        cameras = (FRONT,) * len(CAMERAS) if rng.random() < config.view_dropout else CAMERAS
        moments = [lesson.frames[c][k] for k in (pair.before, pair.after) for c in cameras]
        item_id = f"{lesson.name}-{number:06d}-{pair.before:06d}-{pair.after:06d}"
        item = sft_item(item_id, [*shown.references, *moments], task, pair.hop, prompt)
        made.append((item, swap))
    return made


def _chance(seed: int, name: str, purpose: str) -> np.random.Generator:
    """A source of chance of an episode's own: other episodes do not change it."""
    digest = hashlib.sha256(f"{name} {purpose}".encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def write_whole(path: Path, text: str) -> None:
    """Write a text file that is never there in part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f".{path.name}.making")
    making.write_text(text, encoding="utf-8")
    os.replace(making, path)
