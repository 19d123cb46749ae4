"""Robometer as a back end: its numbers against a plain forward pass, and its clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import AutoImageProcessor, AutoTokenizer, Qwen3VLConfig, Qwen3VLModel

from dopamine_core.errors import ConfigError, ImageError, ModelError
from dopamine_core.frames.codec import encode
from dopamine_core.reward.models.robometer import Config, RobometerModel
from dopamine_core.reward.registry import describe_reward_models, load_reward_model
from dopamine_core.reward.robometer.images import read_frame
from dopamine_core.reward.robometer.prompt import own_prompt
from dopamine_core.reward.session import References
from dopamine_core.types import EncodedImage, FramePair, Status
from tests.models.robometer.conftest import Tiny

TASK = "put the {blue} block on the red one"
ADDED = ("split", "reward", "pref", "sim", "prog")
LAYOUTS = ("upstream", "lerobot, embedding", "lerobot, head", "lerobot, both")
MISSING = EncodedImage(0, "", b"", 0, 0)


def picture(seed: int) -> np.ndarray:
    """A coarse random image (48, 64, 3)."""
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 256, (6, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8))


def pair(seed: int) -> FramePair:
    """Two different views."""
    return FramePair(encode(picture(seed), 1 + seed), encode(picture(1000 + seed), 1 + seed))


PAIRS = [pair(seed) for seed in range(12)]
REFERENCES = References(TASK, (PAIRS[-1],))


def load(tiny: Tiny, layout: str = "upstream", **settings: object) -> RobometerModel:
    made = {"base": str(tiny.base), "short_edge": 0, "device": "cpu", **settings}
    model = load_reward_model("robometer", str(tiny.folders[layout]), settings=made)
    assert isinstance(model, RobometerModel)
    return model


@pytest.fixture(scope="module")
def model(tiny: Tiny) -> RobometerModel:
    return load(tiny)


class Plain:
    """The model written down once more: one sequence at a time, weights as they are stored, no code of the back end."""

    def __init__(self, tiny: Tiny) -> None:
        config = Qwen3VLConfig.from_pretrained(tiny.folders["upstream"])
        self.model = Qwen3VLModel(config).eval()
        backbone = {
            k.removeprefix("model."): t for k, t in tiny.tensors.items() if k.startswith("model.")
        }
        self.model.load_state_dict(backbone)
        self.tensors = tiny.tensors
        self.tokenizer = AutoTokenizer.from_pretrained(tiny.base)
        self.tokenizer.add_tokens([f"<|{name}_token|>" for name in ADDED], special_tokens=True)
        self.images = AutoImageProcessor.from_pretrained(tiny.base)

    def states(self, text: str, frames: Sequence[np.ndarray], token: str) -> torch.Tensor:
        """Last hidden states at a token; every ``<image>`` in the text stands for the next frame."""
        seen = self.images(images=list(frames), do_resize=False, return_tensors="pt")
        for grid in seen["image_grid_thw"]:
            pads = "<|image_pad|>" * int(grid.prod() // 4)
            text = text.replace("<image>", f"<|vision_start|>{pads}<|vision_end|>", 1)
        ids = self.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        is_image = (ids == self.tokenizer.convert_tokens_to_ids("<|image_pad|>")).long()
        with torch.no_grad():
            made = self.model(
                input_ids=ids, mm_token_type_ids=is_image, output_hidden_states=True, **seen
            )
        at = ids[0] == self.tokenizer.convert_tokens_to_ids(f"<|{token}_token|>")
        return made.hidden_states[-1][0][at]

    def head(self, name: str, states: torch.Tensor) -> torch.Tensor:
        weights = {
            k.removeprefix(f"{name}."): t for k, t in self.tensors.items() if k.startswith(name)
        }
        inner = functional.linear(states, weights["0.weight"], weights["0.bias"])
        inner = functional.layer_norm(
            inner, inner.shape[-1:], weights["1.weight"], weights["1.bias"]
        )
        return functional.linear(functional.gelu(inner), weights["4.weight"], weights["4.bias"])

    def judge(self, frames: Sequence[np.ndarray]) -> tuple[float, float]:
        """Progress and success probability at the last frame, whole turn included."""
        words = own_prompt().progress.replace("{task}", TASK)
        shown = "".join(f"Picture {k + 1}: <image><|prog_token|>" for k in range(len(frames)))
        text = f"<|im_start|>user\n{words}{shown}<|im_end|>\n"
        state = self.states(text, frames, "prog")[-1:]
        bins = torch.softmax(self.head("progress_head", state)[0], -1)
        progress = sum(float(p) * k / 9 for k, p in enumerate(bins))
        return progress, float(torch.sigmoid(self.head("success_head", state)))

    def prefer(self, first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
        words, count = own_prompt(), len(first)
        one = "".join(f"Picture {k + 1}: <image><|prog_token|>" for k in range(count))
        two = "".join(f"Picture {count + k + 1}: <image><|prog_token|>" for k in range(len(second)))
        asked = words.first.replace("{task}", TASK)
        text = f"<|im_start|>user\n{asked}{one}<|split_token|>{words.second}{two}{words.last}<|pref_token|>"
        state = self.states(text + "<|im_end|>\n", [*first, *second], "pref")
        return float(torch.sigmoid(self.head("preference_head", state)))


@pytest.fixture(scope="module")
def plain(tiny: Tiny) -> Plain:
    return Plain(tiny)


def shown(seeds: Sequence[int], camera: str = "front") -> list[np.ndarray]:
    return [read_frame(getattr(PAIRS[seed], camera), 0, 4096, 2**24) for seed in seeds]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_numbers_are_those_of_a_plain_forward_pass(tiny: Tiny, plain: Plain, layout: str) -> None:
    model = load(tiny, layout)
    reading = model.open(REFERENCES).observe_all(PAIRS[:8])[-1]
    progress, success = plain.judge(shown(range(8)))
    assert reading.status is Status.OK
    assert reading.progress == pytest.approx(progress, abs=1e-5)
    assert reading.success_probability == pytest.approx(success, abs=1e-5)
    preference = model.preference(TASK, PAIRS[:8], PAIRS[4:12])
    assert preference == pytest.approx(plain.prefer(shown(range(8)), shown(range(4, 12))), abs=1e-5)


def test_a_short_clip_is_filled_with_its_last_frame(tiny: Tiny, plain: Plain) -> None:
    padded = load(tiny).open(REFERENCES).observe_all(PAIRS[:3])[-1].progress
    bare = load(tiny, pad=False).open(REFERENCES).observe_all(PAIRS[:3])[-1].progress
    assert padded == pytest.approx(plain.judge(shown([0, 1, 2, 2, 2, 2, 2, 2]))[0], abs=1e-5)
    assert bare == pytest.approx(plain.judge(shown([0, 1, 2]))[0], abs=1e-5)
    assert padded != bare


def test_the_clip_is_spread_over_everything_seen_or_trails(tiny: Tiny, plain: Plain) -> None:
    whole = load(tiny).open(REFERENCES).observe_all(PAIRS)[-1].progress
    trailing = load(tiny, window="trailing").open(REFERENCES).observe_all(PAIRS)[-1].progress
    assert whole == pytest.approx(plain.judge(shown([0, 2, 3, 5, 6, 8, 9, 11]))[0], abs=1e-5)
    assert trailing == pytest.approx(plain.judge(shown(range(4, 12)))[0], abs=1e-5)


@pytest.mark.parametrize("settings", [{}, {"pad": False}, {"at_once": 3}])
def test_prefixes_in_one_batch_are_answered_as_one_at_a_time(tiny: Tiny, settings: dict) -> None:
    model = load(tiny, **settings)
    together = model.open(REFERENCES).observe_all(PAIRS)
    session = model.open(REFERENCES)
    for both, alone in zip(together, [session.observe(pair) for pair in PAIRS], strict=True):
        assert both.progress == pytest.approx(alone.progress, abs=1e-5)
        assert both.success_probability == pytest.approx(alone.success_probability, abs=1e-5)
        assert both.uncertainty == pytest.approx(alone.uncertainty, abs=1e-5)


def test_clips_of_different_tasks_share_a_batch(model: RobometerModel) -> None:
    task = "a much longer sentence about the blue block, the red one and the robot that moves them"
    pair_of = [(TASK, shown(range(4))), (task, shown(range(4, 8)))]
    engine = model.scorer._engine
    together = engine.judge(pair_of)
    for both, asked in zip(together, pair_of, strict=True):
        torch.testing.assert_close(both.progress, engine.judge([asked])[0].progress)


def test_both_cameras_are_the_mean_of_each(tiny: Tiny) -> None:
    front, wrist, both = (
        load(tiny, camera=camera).open(REFERENCES).observe_all(PAIRS[:8])[-1]
        for camera in ("front", "wrist", "both")
    )
    assert both.progress == pytest.approx((front.progress + wrist.progress) / 2, abs=1e-5)
    mean = (front.success_probability + wrist.success_probability) / 2
    assert both.success_probability == pytest.approx(mean, abs=1e-5)
    assert both.uncertainty >= min(front.uncertainty, wrist.uncertainty)
    assert front.progress != pytest.approx(wrist.progress, abs=1e-5)


def test_a_camera_that_is_asked_for_must_be_there(tiny: Tiny) -> None:
    for camera in ("wrist", "both"):
        with pytest.raises(ImageError, match="wrist"):
            load(tiny, camera=camera).open(REFERENCES).observe(FramePair(PAIRS[0].front, MISSING))
    reading = load(tiny).open(REFERENCES).observe(FramePair(PAIRS[0].front, MISSING))
    assert reading.status is Status.OK


def test_success_is_read_from_its_own_head(model: RobometerModel) -> None:
    assert model.success_signal == "probability" and model.success_threshold == 0.65
    assert model.fast is False


def test_what_is_shown_is_part_of_the_name(tiny: Tiny, model: RobometerModel) -> None:
    assert model.model_id == load(tiny).model_id
    assert model.model_id.name == "robometer+own"
    for settings in ({"camera": "wrist"}, {"pad": False}, {"frames": 4}, {"short_edge": 64}):
        assert load(tiny, **settings).model_id.sha256 != model.model_id.sha256


def test_a_task_with_control_tokens_is_refused(model: RobometerModel) -> None:
    for token in ("<|prog_token|>", "<|im_end|>", "<|image_pad|>"):
        with pytest.raises(ModelError, match="control tokens"):
            model.open(References(f"stack {token}", (PAIRS[0],)))
        with pytest.raises(ModelError, match="control tokens"):
            model.preference(token, PAIRS[:2], PAIRS[2:4])


def test_an_empty_episode_is_not_compared(model: RobometerModel) -> None:
    with pytest.raises(ModelError, match="at least one frame pair"):
        model.preference(TASK, PAIRS[:2], [])


def test_weights_that_answer_no_number_are_no_reading(tiny: Tiny) -> None:
    model = load(tiny)
    robometer = model.scorer._engine._robometer
    robometer.heads.progress_head[4].bias.fill_(float("nan"))
    robometer.heads.preference_head[4].bias.fill_(float("nan"))
    reading = model.open(REFERENCES).observe(PAIRS[0])
    assert reading.status is Status.INVALID_HOP and np.isnan(reading.progress)
    with pytest.raises(ModelError, match="preference"):
        model.preference(TASK, PAIRS[:2], PAIRS[2:4])


def test_the_official_words_need_their_file() -> None:
    with pytest.raises(ConfigError, match="prompt_file"):
        Config(prompt="official")
    assert "Robometer" in describe_reward_models()["robometer"]


def test_a_pass_without_memory_says_what_to_lower(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(tiny)

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("no room for 2 GiB")

    monkeypatch.setattr(model.scorer._engine._robometer.model, "forward", full)
    with pytest.raises(ModelError, match=r"memory for clips.*lower at_once"):
        model.open(REFERENCES).observe(PAIRS[0])
