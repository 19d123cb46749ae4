"""Settings, the order of items and the learning rate of a run."""

from __future__ import annotations

import numpy as np
import pytest

from dopamine_core.errors import ConfigError
from dopamine_core.reward.grm.training_at_scale.schedule import Schedule
from dopamine_core.reward.grm.training_at_scale.settings import TrainingSettings, read_settings


def schedule(items=10, processes=1, **settings):
    return Schedule(TrainingSettings(**{"batch": 4, "epochs": 2.0, **settings}), items, processes)


def test_every_item_is_seen_once_per_epoch():
    seen = np.concatenate([schedule().items_of(step) for step in range(schedule().steps)])
    assert schedule().steps == 5 and len(seen) == 20
    for epoch in (seen[:10], seen[10:]):
        assert sorted(epoch) == list(range(10))
    assert seen[:10].tolist() != seen[10:].tolist() != list(range(10))


@pytest.mark.parametrize(("processes", "micro_batch"), [(1, 4), (2, 2), (2, 1), (4, 3)])
def test_processes_share_the_same_batches(processes, micro_batch):
    plan = schedule(processes=processes, micro_batch=micro_batch)
    for step in range(plan.steps):
        shares = [plan.micro_batches_of(step, rank) for rank in range(processes)]
        assert {len(share) for share in shares} == {plan.micro_batches}
        seen = [item for share in shares for passed in share for item in passed]
        assert sorted(seen) == sorted(schedule().items_of(step).tolist())


def test_a_later_start_goes_on_where_it_stopped():
    plan = schedule(micro_batch=2, processes=2)
    whole = list(plan.from_step(0, 1))
    assert list(plan.from_step(3, 1)) == whole[3 * plan.micro_batches :]


def test_the_seed_decides_the_order():
    assert schedule(seed=1).items_of(0).tolist() != schedule(seed=2).items_of(0).tolist()


def test_a_batch_that_cannot_be_shared_is_named():
    with pytest.raises(ConfigError, match="3 processes"):
        schedule(processes=3)


def test_the_rate_rises_and_falls():
    plan = schedule(steps=10, warm_up_share=0.2)
    factors = [plan.rate_factor(step) for step in range(11)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[6] == pytest.approx(0.5) and factors[10] == pytest.approx(0.0)
    assert all(a >= b for a, b in zip(factors[1:-1], factors[2:], strict=True))


def test_settings_come_from_a_file_and_the_command(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("batch: 8\nlanguage_rate: 1.0e-3\n")
    settings = read_settings(path, ["batch=16", "vision_rate=1e-6", "shard=full", "recompute=false"])
    assert (settings.batch, settings.language_rate, settings.vision_rate) == (16, 1e-3, 1e-6)
    assert (settings.shard, settings.recompute) == ("full", False)


@pytest.mark.parametrize("assignment", ["batch", "batches=3", "batch=0", "shard=half", "steps=ten"])
def test_a_bad_setting_is_named(assignment):
    with pytest.raises(ConfigError, match="batch|shard|steps"):
        read_settings(None, [assignment])


def test_something_must_learn():
    with pytest.raises(ConfigError, match="a learning rate above 0"):
        TrainingSettings(language_rate=0.0, merger_rate=0.0, vision_rate=0.0)
