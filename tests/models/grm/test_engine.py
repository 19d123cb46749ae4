"""The engine against transformers' own forward and generate, on tiny checkpoints of both architectures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.grm_plain import PlainGrm
from dopamine_core.errors import ModelError
from dopamine_core.frames.codec import encode
from dopamine_core.reward.grm import engine as engine_module
from dopamine_core.reward.grm.engine import Engine, Query
from dopamine_core.reward.grm.prompt import GrmPrompt, own_prompt
from dopamine_core.reward.grm.views import eight_images
from dopamine_core.reward.vlm.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint
from dopamine_core.types import EncodedImage, FramePair
from tests.models.tiny_qwen import write_qwen2_5, write_qwen3

TASK = "put {x} on the red block"
TYPES = ("qwen2_5_vl", "qwen3_vl")
# As the official prompt: words between and behind the images.
TRAILING = GrmPrompt(
    "file",
    "Judge `{task}`.\nS <image>\nE <image>\nB <image>\nBL <image>\nBR <image>\nA <image>\nAL <image>\nAR <image>\n"
    "Say for `{task}` how far it came, as <score>+NN%</score>.\n",
)


@pytest.fixture(scope="module", params=["qwen2_5", "qwen3"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    write = {"qwen2_5": write_qwen2_5, "qwen3": write_qwen3}[request.param]
    folder: Path = write(tmp_path_factory.mktemp(request.param))
    return load_checkpoint(CheckpointConfig(path=str(folder), max_pixels=20000), TYPES)


def pair(seed: int, wrist: tuple[int, int] = (120, 160)) -> FramePair:
    rng = np.random.default_rng(seed)
    front = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1)
    held = rng.integers(0, 256, (*wrist, 3), dtype=np.uint8)
    return FramePair(encode(front, seed + 1), encode(held, seed + 1))


def three_queries(
    first: int, before: int, after: int
) -> list[tuple[str, tuple[EncodedImage, ...]]]:
    start, goal = pair(1), pair(2)
    befores = (pair(before), pair(first), goal)
    return [(TASK, eight_images(start, goal, moment, pair(after))) for moment in befores]


def seen(engine: Engine, queries: list[tuple[str, tuple[EncodedImage, ...]]]) -> list[Query]:
    return [Query(task, tuple(engine.see(images))) for task, images in queries]


@pytest.mark.parametrize("prompt", [own_prompt(), TRAILING], ids=["own", "trailing"])
def test_teacher_forced_logits_equal_a_plain_forward(
    checkpoint: Checkpoint, prompt: GrmPrompt
) -> None:
    engine, plain = Engine(checkpoint, prompt), PlainGrm(checkpoint, prompt)
    answer = checkpoint.tokenizer("<score>+12.5%</score>")["input_ids"]
    before = 10
    for after in (11, 12, 13, 14):  # the first calls build prefixes, the later ones use them
        queries = three_queries(10, before, after)
        ours = engine.logits(seen(engine, queries), [answer] * 3)
        theirs = plain.logits(queries, [answer] * 3)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-4)
        before = after


def test_written_answers_equal_generate(checkpoint: Checkpoint) -> None:
    engine, plain = Engine(checkpoint, own_prompt()), PlainGrm(checkpoint, own_prompt())
    for after in (11, 12, 13):
        queries = three_queries(10, after - 1, after)
        ours = engine.write(seen(engine, queries), 6, min_tokens=6)
        assert ours == plain.write(queries, 6)


def test_the_grid_equals_answers_fed_one_by_one(checkpoint: Checkpoint) -> None:
    engine, plain = Engine(checkpoint, own_prompt()), PlainGrm(checkpoint, own_prompt())
    query, grid = three_queries(10, 11, 12)[:1], engine.grid
    after: dict[int, np.ndarray] = {}  # log-probabilities after each fed node
    for node in range(len(grid.tokens)):
        path = [node]
        while grid.parents[path[0]] >= 0:
            path.insert(0, int(grid.parents[path[0]]))
        ids = [int(grid.tokens[k]) for k in path]
        logs = plain.logits(query, [[*ids, 0]])[0].double().log_softmax(-1).numpy()
        after[-1], after[node] = logs[0], logs[-1]
    probabilities = []
    for edge in grid.cell_edges:
        log = 0.0
        while edge >= 0:
            log += after[int(grid.edge_nodes[edge])][grid.edge_tokens[edge]]
            edge = grid.edge_parents[edge]
        probabilities.append(np.exp(log))
    weights = np.array(probabilities) / np.sum(probabilities)
    hop = float(weights @ grid.cell_hops)
    reading = engine.expect(seen(engine, query))
    assert float(reading.hop[0]) == pytest.approx(hop, rel=1e-3)
    assert float(reading.mass[0]) == pytest.approx(float(np.sum(probabilities)), rel=1e-3)
    variance = float(weights @ (grid.cell_hops - hop) ** 2)
    assert float(reading.variance[0]) == pytest.approx(variance, rel=1e-3)


def test_equal_images_pass_the_vision_tower_once(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, looked = Engine(checkpoint, own_prompt()), []
    tower = checkpoint.model.model.get_image_features

    def count(pixels: torch.Tensor, grids: torch.Tensor, **options: object) -> object:
        looked.append(len(grids))
        return tower(pixels, grids, **options)

    monkeypatch.setattr(checkpoint.model.model, "get_image_features", count)
    images = eight_images(pair(1), pair(2), pair(3), pair(3))
    found = engine.see(images)
    assert looked == [4]  # two front references, one front and one wrist view
    assert found[2] is found[5] and found[3] is found[4]


def test_only_new_tokens_are_computed_once_prefixes_are_kept(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, computed = Engine(checkpoint, own_prompt()), []
    model = checkpoint.model.model.language_model
    forward = type(model).forward

    def count(self: object, *given: object, **named: torch.Tensor) -> object:
        computed.append(named["inputs_embeds"].shape[1])
        return forward(self, *given, **named)

    monkeypatch.setattr(type(model), "forward", count)
    for after in (11, 12, 13):
        queries = seen(engine, three_queries(10, after - 1, after))
        computed.clear()
        engine.expect(queries)
    whole = sum(len(ids) for ids in engine.words(TASK)) + sum(
        image.patches.tokens for image in queries[0].images
    )
    assert len(computed) == 1  # one pass for all three readings
    assert computed[0] < 0.7 * 3 * whole


def test_a_long_run_forgets_what_it_no_longer_needs(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_ROW_TOKENS", 1500)
    engine, plain = Engine(checkpoint, own_prompt()), PlainGrm(checkpoint, own_prompt())
    answer = checkpoint.tokenizer("<score>0.0%</score>")["input_ids"]
    lengths = []
    for episode in range(5):  # each has a first frame of its own
        for after in (11, 12, 13):
            queries = three_queries(20 + episode, after - 1, after)
            ours = engine.logits(seen(engine, queries), [answer] * 3)
        lengths.append(engine._row.length)
    for a, b in zip(ours, plain.logits(queries, [answer] * 3), strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-4)
    assert max(lengths) < 2500


def test_running_out_of_memory_is_named_and_leaves_the_engine_usable(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(checkpoint, own_prompt())
    queries = seen(engine, three_queries(10, 11, 12))
    before = engine.expect(queries)
    model = checkpoint.model.model.language_model

    def fail(*given: object, **named: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(type(model), "forward", fail)
        with pytest.raises(ModelError, match="memory for a query"):
            engine.expect(queries)
    torch.testing.assert_close(engine.expect(queries).hop, before.hop, atol=1e-5, rtol=1e-4)


def test_a_task_with_control_tokens_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(ModelError, match="control tokens"):
        Engine(checkpoint, own_prompt()).words("lift<|im_end|>")
