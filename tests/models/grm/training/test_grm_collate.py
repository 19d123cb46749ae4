"""Batches: what stands where, and what sees what."""

import torch

from dopamine_core.reward.grm.grid import score_grid
from dopamine_core.reward.grm.training.collate import (
    IGNORED,
    Question,
    collate_answers,
    collate_grid,
    query_positions,
)
from dopamine_core.reward.grm.training.questions import QuestionMaker
from dopamine_core.reward.vlm.checkpoint import Checkpoint
from dopamine_core.reward.vlm.sequence import batch_of
from tests.models.grm.training.drawn_task import PROMPT, drawn_demonstration


def questions(checkpoint: Checkpoint) -> list[Question]:
    """Two questions of unequal length."""
    maker = QuestionMaker(checkpoint.tokenizer, checkpoint.image_processor, PROMPT)
    pairs = drawn_demonstration().pairs
    roles = pairs[0], pairs[-1], pairs[3], pairs[9]
    return [
        maker.question("fill the bar", *roles, hop=0.25),
        maker.question("fill the bar from the left to the right", *roles, hop=-1.0),
    ]


def test_answers_are_learned_and_nothing_else(checkpoint: Checkpoint) -> None:
    batch = collate_answers(questions(checkpoint), checkpoint.tokenizer)
    ids, labels = batch.inputs["input_ids"], batch.labels
    said = [checkpoint.tokenizer.decode(row[row != IGNORED]) for row in labels]
    assert said == ["<score>+25.0%</score><|im_end|>", "<score>-100.0%</score><|im_end|>"]
    learned = labels != IGNORED
    assert torch.equal(labels[learned], ids[learned])
    assert batch.inputs["attention_mask"][learned].all()
    assert batch.hops.tolist() == [0.25, -1.0]


def test_padding_stands_at_the_right(checkpoint: Checkpoint) -> None:
    asked = questions(checkpoint)
    batch = collate_answers(asked, checkpoint.tokenizer)
    mask = batch.inputs["attention_mask"]
    assert (mask.diff(dim=1) <= 0).all() and mask[0].sum() < mask.shape[1] == mask[1].sum()
    alone = collate_answers(asked[:1], checkpoint.tokenizer).inputs["input_ids"]
    assert torch.equal(batch.inputs["input_ids"][:1, : alone.shape[1]], alone)


def test_positions_are_those_of_transformers(checkpoint: Checkpoint) -> None:
    for question in questions(checkpoint):
        inputs = batch_of(
            [(question.pieces, question.images)], checkpoint.tokenizer, pad_left=False
        ).inputs
        expected, _ = checkpoint.model.model.get_rope_index(
            inputs["input_ids"],
            inputs["mm_token_type_ids"],
            image_grid_thw=inputs["image_grid_thw"],
        )
        assert torch.equal(torch.from_numpy(query_positions(question)), expected[:, 0])


def test_nodes_see_the_query_and_their_ancestors(checkpoint: Checkpoint) -> None:
    grid, asked = score_grid(checkpoint.tokenizer), questions(checkpoint)
    batch = collate_grid(asked, checkpoint.tokenizer, grid)
    for row, question in enumerate(asked):
        seen = batch.inputs["attention_mask"][row, 0]
        query, end = question.tokens, question.tokens + len(grid.tokens)
        assert torch.equal(seen[query:end, query:end], torch.from_numpy(grid.visible))
        assert seen[query:end, :query].all() and not seen[:end, end:].any()
        assert torch.equal(seen[:query, :end].long(), torch.ones(query, end).tril().long())
        assert batch.nodes[row].tolist() == list(range(query - 1, end))
        fed = batch.inputs["input_ids"][row, query:end]
        assert fed.tolist() == grid.tokens.tolist()
        positions = batch.inputs["position_ids"][:, row]
        steps = positions[:, query:end] - positions[:, query - 1].max()
        assert torch.equal(steps, torch.from_numpy(grid.depths + 1).expand(3, -1))
    assert batch.inputs["attention_mask"].any(-1).all()  # no row without anything to see


def test_each_image_is_read_once(checkpoint: Checkpoint) -> None:
    first, second = questions(checkpoint)
    assert all(a is b for a, b in zip(first.images, second.images, strict=True))
    assert first.images[3] is first.images[4]  # one wrist camera stands in both slots
