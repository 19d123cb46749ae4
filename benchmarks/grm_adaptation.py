"""What one demonstration teaches a GRM: errors before and after, on drawn demonstrations that nothing has seen.

python -m benchmarks.grm_adaptation [--seeds 3] [--steps 160] [--architectures qwen2_5_vl qwen3_vl]

The models are tiny and know how to answer, but nothing of any task: each answer is as likely as another, whatever they
are shown. The task is drawn: a bar fills the picture, in colours of its own in every demonstration. Each run adapts to
one demonstration and is judged on three others, against the first one's start and goal. Both losses see the same pairs
in the same order. Given beside them: the error of always answering 0. This says that the method learns and what the
losses are worth against each other on this task; it says nothing about published weights on real images.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dopamine_core.reward.grm.adapted import apply_adapter, read_adaptation
from dopamine_core.reward.grm.training.adapt_config import ANSWER, EXPECTED_HOP, AdaptConfig
from dopamine_core.reward.grm.training.adaptation import adapt
from dopamine_core.reward.grm.training.learner import Learner
from dopamine_core.reward.grm.training.pairs import judged_pairs, questions_of
from dopamine_core.reward.grm.training.questions import QuestionMaker
from dopamine_core.reward.grm.training.states import states_of
from dopamine_core.reward.models.grm import MODEL_TYPES, Config, choose_prompt
from dopamine_core.reward.vlm.checkpoint import Checkpoint, load_checkpoint
from tests.models.grm.training.drawn_task import TASK, drawn_demonstration
from tests.models.grm.training.tiny_base import config_of, write_base
from tests.models.tiny_qwen import write_qwen2_5, write_qwen3

RESULTS = Path(__file__).parent / "results" / "grm_adaptation.json"
WRITERS = {"qwen2_5_vl": write_qwen2_5, "qwen3_vl": write_qwen3}
UNSEEN = 3  # demonstrations that judge a run
# Hop error after, as a share of before, that every run must reach. The written answer learns more slowly.
WANTED = {EXPECTED_HOP: 0.6, ANSWER: 0.9}
CONFIG = AdaptConfig(
    pairs=500,
    learning_rate=2e-3,
    lora_rank=32,
    lora_alpha=64,
    lora_dropout=0.0,
    batch=24,
    micro_batch=24,
    recompute=False,
    patience=100,
    shown_frames=12,
)


def unseen(seed: int) -> list[int]:
    """Seeds of the demonstrations that judge a run; no other run sees them."""
    return [1000 + UNSEEN * seed + k for k in range(UNSEEN)]


def hop_errors(checkpoint: Checkpoint, base: Config, seed: int) -> tuple[float, float]:
    """RMSE of hops over unseen demonstrations, and that of always answering 0."""
    maker = QuestionMaker(checkpoint.tokenizer, checkpoint.image_processor, choose_prompt(base))
    learner, reference = Learner(checkpoint, CONFIG, 0), drawn_demonstration(seed)
    gaps, labels = [], []
    for other in unseen(seed):
        shown, rng = drawn_demonstration(other), np.random.default_rng(0)
        states = states_of(shown, CONFIG, rng)
        pairs = judged_pairs(states.phi, np.arange(len(states.phi)), CONFIG, rng)
        ends = {"start": reference.pairs[0], "goal": reference.pairs[-1]}
        questions = questions_of(maker, TASK, shown.pairs, pairs, **ends)
        gaps.append(learner.read(questions).hops - pairs.hop)
        labels.append(pairs.hop)
    return tuple(float(np.sqrt(np.mean(np.concatenate(part) ** 2))) for part in (gaps, labels))


def run(base: Config, loss: str, seed: int, steps: int, folder: Path) -> dict[str, Any]:
    """Adapt once and judge."""
    out, config = folder / f"{loss}_{seed}", dataclasses.replace(CONFIG, loss=loss, steps=steps)
    before, zero = hop_errors(load_checkpoint(base, MODEL_TYPES), base, seed)
    report = adapt(
        drawn_demonstration(seed),
        base=base,
        out_dir=out,
        held_out=[drawn_demonstration(other) for other in unseen(seed)],
        seed=seed,
        config=config,
    )
    adapted = apply_adapter(load_checkpoint(base, MODEL_TYPES), read_adaptation(out))
    return {
        "loss": loss,
        "seed": seed,
        "unseen_hop_rmse_before": before,
        "unseen_hop_rmse_after": hop_errors(adapted, base, seed)[0],
        "unseen_hop_rmse_of_zero": zero,
        "unseen_progress_rmse_before": report.rmse_before,
        "unseen_progress_rmse_after": report.rmse_after,
        "unseen_voc_before": report.voc_before,
        "unseen_voc_after": report.voc_after,
        "held_out_hop_rmse_before": report.pairs_rmse_before,
        "held_out_hop_rmse_after": report.pairs_rmse_after,
        "held_out_mass_after": report.pairs_mass_after,
        "loss_first": report.loss_first,
        "loss_last": report.loss_last,
        "success_threshold": report.success_threshold,
        "done_level": report.done_level,
        "nearly_level": report.nearly_level,
        "steps": report.steps,
        "best_step": report.best_step,
        "seconds": report.seconds,
    }


def medians(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Median over the runs of every figure."""
    figures = [name for name in rows[0] if name not in ("loss", "seed")]
    return {name: statistics.median(row[name] for row in rows) for name in figures}


def main() -> None:
    """Run all, write the figures, say whether every run learned."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--architectures", nargs="+", choices=list(WRITERS), default=list(WRITERS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began_s, results = time.monotonic(), {}
    with tempfile.TemporaryDirectory() as name:
        for architecture in arguments.architectures:
            folder = Path(name) / architecture
            base = config_of(write_base(WRITERS[architecture], folder / "base"))
            for loss in (EXPECTED_HOP, ANSWER):
                rows = [
                    run(base, loss, seed, arguments.steps, folder)
                    for seed in range(arguments.seeds)
                ]
                median = medians(rows)
                results[f"{architecture}/{loss}"] = {"median": median, "runs": rows}
                print(
                    f"{architecture:11} {loss:13} hops {median['unseen_hop_rmse_before']:.3f} -> "
                    f"{median['unseen_hop_rmse_after']:.3f} (zero {median['unseen_hop_rmse_of_zero']:.3f}), "
                    f"progress {median['unseen_progress_rmse_before']:.3f} -> "
                    f"{median['unseen_progress_rmse_after']:.3f}, VOC {median['unseen_voc_after']:.3f}",
                    flush=True,
                )
    content = {
        "about": (__doc__ or "").split("\n\n")[2].replace("\n", " "),
        "settings": dataclasses.asdict(dataclasses.replace(CONFIG, steps=arguments.steps)),
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "machine": f"{platform.machine()}, one thread",
        "seconds": time.monotonic() - began_s,
        "results": results,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    learned = all(
        row["unseen_hop_rmse_after"] < WANTED[row["loss"]] * row["unseen_hop_rmse_before"]
        for result in results.values()
        for row in result["runs"]
    )
    raise SystemExit(0 if learned else 1)


if __name__ == "__main__":
    main()
