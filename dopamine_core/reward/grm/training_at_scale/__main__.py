"""``torchrun --nproc-per-node=2 -m dopamine_core.reward.grm.training_at_scale ...``: one process of a training run."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dopamine_core.errors import DopamineError
from dopamine_core.reward.grm.prompt import own_prompt, read_prompt
from dopamine_core.reward.grm.training_at_scale.settings import read_settings
from dopamine_core.reward.registry import missing_package

EXIT_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; a named error is one line on standard error.

    :returns: exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        report = _train(options)
    except DopamineError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return EXIT_ERROR
    if os.environ.get("RANK", "0") == "0":
        print(json.dumps({"event": "trained", **dataclasses.asdict(report)}, default=str), flush=True)
    return 0


def _train(options: argparse.Namespace) -> Any:
    try:
        from dopamine_core.reward.grm.training_at_scale.run import train

        return train(_run(options), resume=options.resume)
    except ModuleNotFoundError as error:
        raise missing_package("grm", error) from error


def _run(options: argparse.Namespace) -> Any:
    from dopamine_core.reward.grm.training_at_scale.run import Run

    prompt = own_prompt()
    if options.prompt_file:
        prompt = read_prompt(options.prompt_file, official=not options.any_prompt)
    return Run(
        data=tuple(options.data),
        base=options.base,
        out_dir=options.out,
        prompt=prompt,
        settings=read_settings(options.settings, options.set),
        images=options.images,
        offline=options.offline,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dopamine_core.reward.grm.training_at_scale", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, nargs="+", action="extend", required=True, help="SFT files.")
    add("--images", type=Path, help="Folder that their images lie under; default: each file's own.")
    add("--base", required=True, help="Checkpoint folder or hub id.")
    add("--out", type=Path, required=True, help="Folder of the run.")
    add("--settings", type=Path, help="YAML file of settings.")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="One setting.")
    add("--prompt-file", type=Path, help="The official prompt; default: this project's own.")
    add("--any-prompt", action="store_true", help="The prompt file need not be the official one.")
    add("--offline", action="store_true", help="Take hub ids from the local cache only.")
    add("--resume", action="store_true", help="Continue from the newest checkpoint.")
    return parser


if __name__ == "__main__":
    sys.exit(main())
