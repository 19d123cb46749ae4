"""An objective and its lessons come in, learned weights go out; one process or many, stopped and continued.

A step's gradient is that of the mean over all entries of the whole batch, whatever the number of processes and the
size of a pass, so that one process and many learn the same.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from dopamine_core.errors import LearnerError
from dopamine_core.reward.grm.training_at_scale.checkpoints import (
    Checkpoints,
    RunState,
    check_same,
    load_into,
    read_state,
)
from dopamine_core.reward.grm.training_at_scale.lessons import Lessons, batches
from dopamine_core.reward.grm.training_at_scale.objective import Objective
from dopamine_core.reward.grm.training_at_scale.parts import optimiser_of, shard
from dopamine_core.reward.grm.training_at_scale.processes import Processes, named_loss
from dopamine_core.reward.grm.training_at_scale.schedule import Schedule
from dopamine_core.reward.grm.training_at_scale.settings import (
    AUTO,
    BFLOAT16,
    FULL,
    TrainingSettings,
)

LOG_FILE, CHECKPOINTS = "log.jsonl", "checkpoints"


@dataclass(frozen=True)
class StepReport:
    """One optimiser step."""

    step: int  # 1 is the first
    steps: int
    loss: float  # mean over all entries of the batch
    terms: dict[str, float]
    rates: dict[str, float]  # learning rate of each part
    gradient_norm: float  # before clipping
    items_per_s: float
    seconds: float  # since the run, or its continuation, began


OnStep = Callable[[StepReport], None]


class Trainer:
    """Trains one objective on this process's share.

    :param objective: on the CPU; it is moved, and shared when the settings say so.
    :param lessons: the same in every process.
    :param out_dir: of the run: ``log.jsonl`` and ``checkpoints``.
    :param base_sha256: of the weights that training starts from.
    """

    def __init__(
        self,
        objective: Objective,
        lessons: Lessons,
        settings: TrainingSettings,
        processes: Processes,
        out_dir: Path,
        base_sha256: str,
    ) -> None:
        self._lessons, self._settings, self._processes = lessons, settings, processes
        self._schedule = Schedule(settings, len(lessons), processes.count)
        self._log_file = out_dir / LOG_FILE
        self._checkpoints = Checkpoints(out_dir / CHECKPOINTS, settings.keep)
        self._start = RunState(0, lessons.sha256, base_sha256, settings.lasting())
        self.objective = objective.train()
        self._shared = settings.shard == FULL and processes.mesh is not None
        if self._shared:
            shard(self.objective, processes.mesh)  # moves each share to its device, never the whole
        else:
            self.objective.to(processes.device)
        self._optimiser = optimiser_of(self.objective, settings)
        self._learning = [p for p in self.objective.parameters() if p.requires_grad]

    def run(self, *, resume: bool = False, on_step: OnStep | None = None) -> list[StepReport]:
        """Train to the end of the schedule.

        :param resume: go on from the newest checkpoint; from the start without one.
        :param on_step: told after each step.
        :returns: the steps of this call.
        :raises LearnerError: when there is a run already and ``resume`` is not set, a checkpoint is damaged or of
            another run, an item cannot be read, the loss is no number, memory does not suffice, or a process is lost.
        """
        first = self._continue(resume)
        with named_loss(self._processes, self._how_to_go_on):
            try:
                return self._train(first, on_step)
            except torch.OutOfMemoryError as error:
                raise LearnerError(
                    expected=f"room for {self._settings.micro_batch} items on {self._processes.device}",
                    got=str(error).splitlines()[0],
                    remedy="set micro_batch lower, recompute: true, shard: full, or adapt: lora",
                ) from error
            except OSError as error:
                raise LearnerError(
                    expected=f"to write {self._log_file}",
                    got=str(error),
                    remedy="free space or name another folder, then continue with --resume",
                ) from error

    def _continue(self, resume: bool) -> int:
        """Load the newest checkpoint; return the number of steps that are done."""
        newest = self._checkpoints.newest()
        if newest is None:
            return 0
        if not resume:
            raise LearnerError(
                expected="a folder without a run",
                got=str(newest),
                remedy="continue it with --resume, or name another folder",
            )
        state = read_state(newest)
        check_same(state, self._start)
        load_into(newest, self.objective, self._optimiser, self._processes)
        self._log({"event": "resumed", "step": state.step, "checkpoint": newest.name})
        return state.step

    def _train(self, first: int, on_step: OnStep | None) -> list[StepReport]:
        process, settings = self._processes, self._settings
        names = {"rank": process.rank, "pid": os.getpid(), "processes": process.count}
        self._log({"event": "started", "step": first, "device": str(process.device), **names})
        passes = self._schedule.from_step(first, process.rank)
        loaded = batches(self._lessons, passes, settings.workers, process.device)
        began, reports = time.monotonic(), []
        for step in range(first, self._schedule.steps):
            reports.append(self._step(step, loaded, began))
            done = step + 1
            self._log({"event": "step", **vars(reports[-1])})
            if on_step:
                on_step(reports[-1])
            if done % settings.save_every == 0 or done == self._schedule.steps:
                self._save(done)
        return reports

    def _step(self, step: int, loaded: Iterator[Any], began_s: float) -> StepReport:
        """Learn from one batch."""
        step_began_s = time.monotonic()
        torch.manual_seed((self._settings.seed << 32) + step * self._processes.count + self._processes.rank)
        factor = self._schedule.rate_factor(step)
        for group in self._optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        terms = self._gradients(loaded)
        norm = self._clipped()
        loss = sum(terms.values())
        self._check_finite(step, loss, norm)
        self._optimiser.step()
        self._optimiser.zero_grad()
        now_s = time.monotonic()
        return StepReport(
            step=step + 1,
            steps=self._schedule.steps,
            loss=loss,
            terms=terms,
            rates={group["part"]: group["lr"] for group in self._optimiser.param_groups},
            gradient_norm=norm,
            items_per_s=self._settings.batch / (now_s - step_began_s),
            seconds=now_s - began_s,
        )

    def _gradients(self, loaded: Iterator[Any]) -> dict[str, float]:
        """Leave the gradient of the batch's mean loss in the parameters; return its terms."""
        sums: dict[str, float] = {}
        entries = 0.0
        for _ in range(self._schedule.micro_batches):
            batch = next(loaded)
            weight = self.objective.weight(batch)
            with self._precision():
                terms = self.objective(batch)
            (torch.stack(list(terms.values())).sum() * weight).backward()
            entries += weight
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + float(term.detach()) * weight
        everyone, *totals = self._processes.total([entries, *sums.values()])
        if not self._shared:
            self._processes.sum_gradients(self._learning)
        # Sharing processes have averaged already, the others have summed.
        scale = (self._processes.count if self._shared else 1) / everyone
        for parameter in self._learning:
            if parameter.grad is not None:
                parameter.grad.mul_(scale)
        return {name: total / everyone for name, total in zip(sums, totals, strict=True)}

    def _clipped(self) -> float:
        """Clip the gradient; return its norm before."""
        norm = torch.nn.utils.clip_grad_norm_(self._learning, self._settings.clip_norm)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def _precision(self) -> torch.autocast:
        device, wanted = self._processes.device.type, self._settings.precision
        low = wanted == BFLOAT16 or (wanted == AUTO and device == "cuda")
        # Shared weights come and go: casts of them must not be kept.
        return torch.autocast(device, torch.bfloat16, enabled=low, cache_enabled=not self._shared)

    def _check_finite(self, step: int, loss: float, norm: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise LearnerError(
                expected="a loss and a gradient that are numbers",
                got=f"loss {loss}, gradient norm {norm} in step {step + 1}",
                remedy="set lower learning rates, or precision: float32; the weights of this step are not kept",
            )

    def _save(self, done: int) -> None:
        state = RunState(done, self._start.data_sha256, self._start.base_sha256, self._start.settings)
        self._checkpoints.save(self.objective, self._optimiser, state, self._processes)
        self._log({"event": "saved", "step": done})

    def _log(self, record: dict[str, Any]) -> None:
        """Append one JSON line, by the first process; every process says that it started."""
        if self._processes.first or record["event"] == "started":
            self._log_file.parent.mkdir(parents=True, exist_ok=True)
            with self._log_file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    def _how_to_go_on(self) -> str:
        newest = self._checkpoints.newest()
        if newest is None:
            return "see what the other process said; there is no checkpoint yet: start again"
        return f"see what the other process said; continue from {newest} with the same command and --resume"
