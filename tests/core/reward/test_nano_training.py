"""The training pipeline on drawn episodes: data on disk, batches, a few steps, a folder that the back end loads."""

import json
from pathlib import Path

import numpy as np
import pytest

from dopamine_core.errors import DemonstrationError, ModelError
from dopamine_core.reward.models.nano import NanoHopModel
from dopamine_core.reward.nano import train
from dopamine_core.reward.nano.batches import BatchMaker
from dopamine_core.reward.nano.config import TrainingConfig
from dopamine_core.reward.nano.rehearsal import load_rehearsal
from dopamine_core.reward.nano.store import EpisodeWriter, TrainingEpisode, open_store
from tests.core.reward.tiny_nano import SHAPE, drawing, drawn_demonstration

CONFIG = TrainingConfig(steps=12, episodes_per_step=4, moments=3, pairs_per_step=24, seed=2)


def episode(task: str, number: int, expert: bool) -> TrainingEpisode:
    """An expert crosses; another turns back half-way."""
    length = 12
    label = (
        np.linspace(0.0, 1.0, length)
        if expert
        else np.concatenate([np.arange(6), np.arange(6)[::-1]]) / 10
    )
    frames = np.stack([np.stack([drawing(s, number), drawing(s, number)[::-1]]) for s in label])
    return TrainingEpisode(
        task=task,
        mode="expert" if expert else "regresses",
        seed=number,
        frames=frames,
        label=label.astype(np.float32),
        truth=label.astype(np.float32),
        done=label >= 1.0,
        geometry=np.tile(label[:, None], (1, 10)).astype(np.float32),
        keyframes=(0, length - 1),
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks with twelve episodes each."""
    folder = tmp_path_factory.mktemp("data")
    with EpisodeWriter(folder) as writer:
        for task in ("cross", "pass"):
            for number in range(12):
                writer.add(episode(task, number, number % 2 == 0))
    return folder


def test_store_gives_back_what_was_written(data: Path, tmp_path: Path) -> None:
    store = open_store(data)
    assert len(store) == 24 and store.tasks == ("cross", "pass")
    span = store.span(3)
    np.testing.assert_array_equal(store.frames[span], episode("cross", 3, expert=False).frames)
    assert not store.expert[3] and store.keyframes[3] == (0, 11)
    with pytest.raises(ModelError, match="generated episodes"):
        open_store(tmp_path)


def test_batches_hold_their_promises(data: Path) -> None:
    store = open_store(data)
    batch = BatchMaker(store, CONFIG, 0).make()
    start, goal, before, after = batch.roles.T
    assert (batch.phi[start] == 0.0).all() and (batch.phi[goal] == 1.0).all()
    rising = batch.phi[after] > batch.phi[before] + 1e-2
    assert (batch.hop[rising] > 0.0).all() and np.abs(batch.hop).max() <= 1.0
    assert (batch.hop < 0.0).any()
    assert batch.present.sum(axis=2).max() == 2.0 and batch.present.min() == 0.0
    again = BatchMaker(store, CONFIG, 0).make()
    np.testing.assert_array_equal(batch.roles, again.roles)


def test_training_needs_experts(tmp_path: Path) -> None:
    with EpisodeWriter(tmp_path) as writer:
        writer.add(episode("cross", 0, expert=True))
    with pytest.raises(DemonstrationError, match="two expert episodes"):
        BatchMaker(open_store(tmp_path), CONFIG, 0)


def test_trains_and_ships(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "NanoShape", lambda: SHAPE)
    told: list[tuple[str, float]] = []
    report = train.train_nano(
        CONFIG,
        lambda part, share: told.append((part, share)),
        data_dir=data,
        out_dir=tmp_path,
        reuse_data=True,
        device="cpu",
        plot=False,
    )
    assert report.steps == CONFIG.steps and told[-1] == ("train", 1.0)
    assert all(np.isfinite(values).all() for values in report.curve.values())
    written = json.loads((tmp_path / "training.json").read_text())
    model = NanoHopModel(tmp_path)
    assert written["hashes"]["head.onnx"] == model.info["head_sha256"]
    assert model.encode(drawn_demonstration().pairs[0]).features.shape == (2, SHAPE.feature_dim)
    rehearsal = load_rehearsal(tmp_path)
    assert rehearsal.maps.shape[1:] == (2, SHAPE.map_channels, *SHAPE.map_size)
    assert np.abs(np.linalg.norm(rehearsal.maps, axis=2) - 1.0).max() < 0.05
