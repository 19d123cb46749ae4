"""What a GRM's decision costs: the plain path and ours side by side, in one process, on the same images.

python -m benchmarks.grm_latency [--shape tiny-qwen2.5 tiny-qwen3] [--device cpu] [--steps 12]
python -m benchmarks.grm_latency --shape qwen2.5-3b qwen2.5-7b qwen3-4b qwen3-8b --device cuda

A decision is three readings (incremental, forward- and backward-anchored), from JPEG bytes to hops. Plain: one batch of
three full ``generate`` calls, nothing kept. Ours: the engine of the reward model. Both write the same number of tokens;
that they are the same tokens, and that logits before a fixed answer agree, is checked. Weights are random, of the
published shapes; time does not depend on what they are. The floor is the floating-point operations that our pass
needs, divided by what a large matrix product reaches on this machine in the same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.grm_plain import PlainGrm, PlainQuery
from dopamine_core.frames.codec import encode
from dopamine_core.reward.grm.answer import write_hop
from dopamine_core.reward.grm.engine import Engine, Query, SeenImage
from dopamine_core.reward.grm.prompt import GrmPrompt, own_prompt, read_prompt
from dopamine_core.reward.grm.views import eight_images, three_views
from dopamine_core.reward.vlm.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint
from dopamine_core.types import EncodedImage, FramePair
from tests.models.tiny_qwen import write_qwen2_5, write_qwen3

RESULTS = Path(__file__).parent / "results" / "grm_latency.json"
TASK = "put the blue block on the red block"
TOKENS = 9  # of <score>+12.5%</score>
WANTED = 3.0  # ratio on a CPU
_QWEN2_5_VISION = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "fullatt_block_indexes": [7, 15, 23, 31],
    "window_size": 112,
}
_QWEN2_5_ROPE = {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6}
_QWEN3_ROPE = {
    "rope_type": "default",
    "mrope_section": [24, 20, 20],
    "mrope_interleaved": True,
    "rope_theta": 5e6,
}


def _sizes(hidden: int, inner: int, layers: int, heads: int, groups: int, words: int) -> dict[str, Any]:
    sizes = {
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
    }
    return {**sizes, "vocab_size": words, "dtype": "bfloat16"} if words else sizes


#: name: (writer, sizes of the vision tower, sizes of the language model), as the published configurations give them.
SHAPES: dict[str, tuple[Callable[..., Path], dict[str, Any], dict[str, Any]]] = {
    # One eighth as wide and a quarter as deep as 3B and 4B; heads are as large, so that attention weighs as much.
    "tiny-qwen2.5": (
        write_qwen2_5,
        {
            "depth": 8,
            "hidden_size": 160,
            "intermediate_size": 428,
            "num_heads": 2,
            "fullatt_block_indexes": [1, 3, 5, 7],
            "window_size": 112,
        },
        {**_sizes(256, 1376, 9, 2, 1, 0), "rope_parameters": _QWEN2_5_ROPE},
    ),
    "tiny-qwen3": (
        write_qwen3,
        {
            "depth": 6,
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_heads": 2,
            "deepstack_visual_indexes": [1, 2, 4],
            "num_position_embeddings": 2304,
        },
        {**_sizes(320, 1216, 9, 4, 1, 0), "head_dim": 128, "rope_parameters": _QWEN3_ROPE},
    ),
    "qwen2.5-3b": (
        write_qwen2_5,
        _QWEN2_5_VISION,
        {**_sizes(2048, 11008, 36, 16, 2, 151936), "rope_parameters": _QWEN2_5_ROPE},
    ),
    "qwen2.5-7b": (
        write_qwen2_5,
        _QWEN2_5_VISION,
        {**_sizes(3584, 18944, 28, 28, 4, 152064), "rope_parameters": _QWEN2_5_ROPE},
    ),
    "qwen3-4b": (
        write_qwen3,
        {
            "depth": 24,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_heads": 16,
            "deepstack_visual_indexes": [5, 11, 17],
            "num_position_embeddings": 2304,
        },
        {
            **_sizes(2560, 9728, 36, 32, 8, 151936),
            "head_dim": 128,
            "rope_parameters": _QWEN3_ROPE,
        },
    ),
    "qwen3-8b": (
        write_qwen3,
        {
            "depth": 27,
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_heads": 16,
            "deepstack_visual_indexes": [8, 16, 24],
            "num_position_embeddings": 2304,
        },
        {
            **_sizes(4096, 12288, 36, 32, 8, 151936),
            "head_dim": 128,
            "rope_parameters": _QWEN3_ROPE,
        },
    ),
}


def measure(checkpoint: Checkpoint, prompt: GrmPrompt, steps: int, seed: int) -> dict[str, Any]:
    """Go through one episode, each decision by the plain path and by both of ours.

    :param steps: decisions that count; three more come before them.
    :returns: figures of all three, in seconds and floating-point operations.
    """
    plain, engine = PlainGrm(checkpoint, prompt), Engine(checkpoint, prompt)
    episode = Episode(engine, seed)
    times: dict[str, list[float]] = {"plain": [], "written": [], "expected": []}
    same: list[bool] = []
    for step in range(steps + 3):  # prefixes are built in the first ones
        plain_queries, before, pair = episode.next()
        spent, written = _timed(lambda q=plain_queries: plain.write(q, TOKENS), checkpoint)
        took = {"plain": spent}
        # The vision tower's work is ours too: each way starts from the pair's JPEG bytes.
        took["written"], ours = _timed(
            lambda b=before, p=pair: engine.write(episode.ours(b, p), TOKENS, min_tokens=TOKENS), checkpoint
        )
        took["expected"], _ = _timed(
            lambda b=before, p=pair: engine.expect(episode.ours(b, p)), checkpoint
        )
        same += [a == b for a, b in zip(sum(ours, []), sum(written, []), strict=True)]
        if step >= 3:
            for name, value in took.items():
                times[name].append(value)
    plain_queries, before, pair = episode.next()
    answer = checkpoint.tokenizer(write_hop(0.125))["input_ids"]
    theirs = plain.logits(plain_queries, [answer] * 3)
    kept = engine.logits(episode.ours(before, pair), [answer] * 3)
    gaps = [float((a - b).abs().max()) for a, b in zip(kept, theirs, strict=True)]
    scale = max(float(b.abs().max()) for b in theirs)
    agree = all(bool((a.argmax(-1) == b.argmax(-1)).all()) for a, b in zip(kept, theirs, strict=True))
    floating = {
        "plain": _flops(lambda: plain.write(plain_queries, TOKENS)),
        "written": _flops(
            lambda: engine.write(episode.ours(before, pair), TOKENS, min_tokens=TOKENS)
        ),
        "expected": _flops(lambda: engine.expect(episode.ours(before, pair))),
    }
    peak = peak_flops(checkpoint)
    rows = {name: _row(times[name], floating[name], peak) for name in times}
    medians = {name: row["median_s"] for name, row in rows.items()}
    return {
        "rows": rows,
        "ratio_written": round(medians["plain"] / medians["written"], 2),
        "ratio_expected": round(medians["plain"] / medians["expected"], 2),
        "decisions_per_s": {name: round(1.0 / value, 2) for name, value in medians.items()},
        "same_tokens": round(sum(same) / len(same), 4),
        "largest_logit_difference": max(gaps),
        "largest_logit": scale,
        "same_best_token": agree,
        "peak_flops_per_s": peak,
        "tokens_written": TOKENS,
        "query_tokens": sum(map(len, engine.words(TASK)))
        + sum(image.patches.tokens for image in episode.ours(before, pair)[0].images),
        "decisions": steps,
    }


class Episode:
    """Camera pairs of a made-up episode, and the queries of each decision for both ways."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self._engine = engine
        self._rng = np.random.default_rng(seed)
        self._start, self._goal, self._first = self._pair(), self._pair(), self._pair()
        self._before = self._first
        shown = (self._start, self._goal, self._first)
        self._seen = [tuple(engine.see(three_views(pair))) for pair in shown]
        self._seen_before = self._seen[2]

    def next(self) -> tuple[list[PlainQuery], tuple[SeenImage, ...], FramePair]:
        """Return the plain queries, our BEFORE and the new pair; then go on."""
        pair = self._pair()
        befores = (self._before, self._first, self._goal)
        queries = [(TASK, eight_images(self._start, self._goal, b, pair)) for b in befores]
        before = self._seen_before
        self._before = pair
        self._seen_before = tuple(self._engine.see(three_views(pair)))
        return queries, before, pair

    def ours(self, before: tuple[SeenImage, ...], pair: FramePair) -> list[Query]:
        """Let the vision tower look at the new pair alone; everything else was seen before."""
        start, goal, first = self._seen
        after = tuple(self._engine.see(three_views(pair)))
        return [
            Query(TASK, (start[0], goal[0], *moment, *after)) for moment in (before, first, goal)
        ]

    def _pair(self) -> FramePair:
        return FramePair(self._image(), self._image())

    def _image(self) -> EncodedImage:
        coarse = self._rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        return encode(coarse.repeat(40, 0).repeat(40, 1), 1)  # 640 x 480


def peak_flops(checkpoint: Checkpoint) -> float:
    """Floating-point operations per second of a large matrix product in the model's type."""
    size = 8192 if checkpoint.device.type == "cuda" else 1536
    a = torch.randn(size, size, device=checkpoint.device, dtype=checkpoint.dtype)
    spent = [_timed(lambda: a @ a, checkpoint)[0] for _ in range(12)]
    return 2.0 * size**3 / min(spent)


def _row(times: list[float], flops: float, peak: float) -> dict[str, float]:
    median = statistics.median(times)
    return {
        "median_s": round(median, 5),
        "p90_s": round(float(np.quantile(times, 0.9)), 5),
        "flops": flops,
        "floor_s": round(flops / peak, 5),
        "times_the_floor": round(median * peak / flops, 2),
    }


def _timed(work: Callable[[], Any], checkpoint: Checkpoint) -> tuple[float, Any]:
    cuda = checkpoint.device.type == "cuda"
    if cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    made = work()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began, made


def _flops(work: Callable[[], Any]) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def main() -> None:
    """Measure every shape asked for, print the table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=["tiny-qwen2.5", "tiny-qwen3"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prompt-file", default="", help="also measure the official prompt of this file")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    prompts = [own_prompt()]
    if arguments.prompt_file:
        prompts.append(read_prompt(arguments.prompt_file))
    results: dict[str, Any] = {}
    if arguments.out.exists():
        results = json.loads(arguments.out.read_text(encoding="utf-8")).get("results", {})
    for shape in arguments.shape:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = _checkpoint(shape, Path(folder), arguments)
            for prompt in prompts:
                figures = measure(checkpoint, prompt, arguments.steps, arguments.seed)
                results[f"{shape}, {prompt.name} prompt, {checkpoint.device.type}"] = figures | _machine(checkpoint)
                _show(shape, prompt.name, figures)
    content = {"command": "python -m benchmarks.grm_latency", "seed": arguments.seed, "results": results}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    tiny = [r["ratio_written"] for name, r in results.items() if name.startswith("tiny") and "own" in name]
    raise SystemExit(0 if min(tiny) >= WANTED else 1)


def _checkpoint(shape: str, folder: Path, arguments: argparse.Namespace) -> Checkpoint:
    write, vision, text = SHAPES[shape]
    write(folder, arguments.seed, vision, **text)
    config = CheckpointConfig(path=str(folder), device=arguments.device)
    return load_checkpoint(config, ("qwen2_5_vl", "qwen3_vl"))


def _machine(checkpoint: Checkpoint) -> dict[str, Any]:
    cuda = checkpoint.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(checkpoint.device) if cuda else platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "dtype": str(checkpoint.dtype).removeprefix("torch."),
        "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def _show(shape: str, prompt: str, figures: dict[str, Any]) -> None:
    print(f"{shape}, {prompt} prompt: {figures['query_tokens']} tokens per query")
    for name, row in figures["rows"].items():
        print(
            f"  {name:9s} {1e3 * row['median_s']:9.1f} ms  {row['flops'] / 1e9:10.2f} GFLOP  "
            f"{row['times_the_floor']:6.2f} times its floor"
        )
    print(
        f"  written {figures['ratio_written']} x, expected {figures['ratio_expected']} x the plain path; same tokens: "
        f"{figures['same_tokens']}, largest logit difference {figures['largest_logit_difference']:.1e}"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
