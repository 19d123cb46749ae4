"""An adaptation's folder as a model path: the adapter comes with its base, prompt, image sizes and threshold."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from dopamine_core.errors import ModelError
from dopamine_core.reward.grm.adapted import read_adaptation
from dopamine_core.reward.grm.prompt import own_prompt
from dopamine_core.reward.grm.training.adaptation import adapt
from dopamine_core.reward.models.grm import Config
from dopamine_core.reward.reference_images import load_references
from dopamine_core.reward.registry import load_reward_model
from tests.models.grm.training.drawn_task import drawn_demonstration
from tests.models.grm.training.test_grm_adaptation import SHORT


@pytest.fixture(scope="module")
def adapted(base: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "adapted"
    adapt(drawn_demonstration(0), base=base, out_dir=out, config=SHORT, seed=3)
    return out


def test_a_folder_is_all_that_is_named(adapted: Path, base: Config) -> None:
    model = load_reward_model("grm", str(adapted), settings={"min_mass": 0.001})
    plain = load_reward_model(
        "grm", settings={**dataclasses.asdict(base), "min_mass": 0.001}
    )
    assert model.model_id.adapted and not plain.model_id.adapted
    assert model.model_id.name == plain.model_id.name == "grm+file"
    assert model.model_id.sha256 != plain.model_id.sha256
    assert model.success_threshold == read_adaptation(adapted).success_threshold
    hops = []
    for one in (model, plain):
        session = one.open(load_references(adapted))
        pairs = drawn_demonstration(0).pairs
        hops.append([session.observe(pair).hop[1] for pair in (pairs[0], pairs[-1])])
    assert hops[0] != pytest.approx(hops[1], abs=1e-4)


def test_another_prompt_than_the_adapted_one_is_refused(adapted: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(adapted, tmp_path / "copy"))
    description = json.loads((copy / "adaptation.json").read_text())
    description["back_end_settings"].update(prompt="own", prompt_file="")
    (copy / "adaptation.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match=own_prompt().sha256):
        load_reward_model("grm", str(copy))


def test_a_base_that_changed_since_is_refused(adapted: Path, base: Config, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(adapted, tmp_path / "copy"))
    moved = Path(shutil.copytree(base.path, tmp_path / "base"))
    shard = sorted(moved.glob("*.safetensors"))[0]
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    description = json.loads((copy / "adaptation.json").read_text())
    description["base"]["path"] = str(moved)
    (copy / "adaptation.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match="base model"):
        load_reward_model("grm", str(copy))
