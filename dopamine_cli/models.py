"""``dopamine models``: the reward back ends, their settings, and what a checkpoint is before it is loaded."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer

from dopamine_cli.output import JsonOption, make_output, named_errors
from dopamine_core.config import info_of
from dopamine_core.reward.registry import (
    describe_reward_models,
    read_settings,
    settings_class,
)

_GIB = 1 << 30


@named_errors
def models(
    name: Annotated[str, typer.Argument(help="A back end; none lists them all.")] = "",
    path: Annotated[
        str, typer.Option(help="Checkpoint, hub id or settings file to look at.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """List reward back ends; with a name its settings, with --path the checkpoint: size, memory, licence, hash."""
    output = make_output(as_json)
    if not name:
        rows = [{"name": key, "what": words} for key, words in describe_reward_models().items()]
        output.table("reward models", ("name", "what"), rows)
        return
    if not path:
        rows = setting_rows(settings_class(name))
        output.table(name, ("setting", "default", "range", "meaning"), rows)
        return
    facts = checkpoint_facts(read_settings(name, path))
    text = "\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in facts.items())
    output.event("model", text, name=name, **facts)


def setting_rows(config: type) -> list[dict[str, str]]:
    """One row per declared setting of a back end's ``Config``."""
    rows = []
    for field in dataclasses.fields(config):
        info = info_of(field)
        bounds = "" if info.low is None else f"{info.low} ... {info.high} {info.unit}".rstrip()
        required = field.default is dataclasses.MISSING
        rows.append(
            {
                "setting": field.name,
                "default": "required" if required else str(field.default),
                "range": " | ".join(info.choices) or bounds,
                "meaning": info.doc,
            }
        )
    return rows


def checkpoint_facts(settings: Any) -> dict[str, Any]:
    """Look at a checkpoint's files; for a back end without one, show its settings.

    :raises ModelError: when the files are not whole.
    """
    from dopamine_core.reward.vlm import checkpoint as checkpoints
    from dopamine_core.reward.vlm.files import find_checkpoint, look_inside
    from dopamine_core.reward.vlm.memory import estimate_bytes, free_bytes

    if not isinstance(settings, checkpoints.CheckpointConfig):
        return dataclasses.asdict(settings)
    folder = find_checkpoint(settings.path, revision=settings.revision, offline=settings.offline)
    files = look_inside(folder)
    device, dtype = checkpoints.choose_device(settings.device), checkpoints.choose_dtype(settings)
    return {
        "folder": str(folder),
        "type": files.config.get("model_type", "not stated"),
        "weights": files.elements,
        "stored_gib": round(files.size_bytes / _GIB, 2),
        "needs_gib": round(estimate_bytes(files, dtype, settings.quantisation) / _GIB, 2),
        "free_gib": round(free_bytes(device) / _GIB, 2),
        "device": str(device),
        "kept_in": str(dtype).removeprefix("torch."),
        "licence": files.licence,
        "sha256": files.sha256(),
    }
