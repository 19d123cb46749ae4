"""Hop pairs of one demonstration: labels, kinds, balance, and what is held out."""

import dataclasses

import numpy as np
import pytest

from dopamine_core.errors import ConfigError, DemonstrationError
from dopamine_core.reward.grm.training.pairs import (
    BACKWARD,
    FORWARD,
    INCREMENTAL,
    ZERO,
    PairConfig,
    judged_pairs,
    learned_pairs,
    questions_of,
)
from dopamine_core.reward.grm.training.questions import QuestionMaker
from dopamine_core.reward.grm.training.states import (
    StateConfig,
    divisions,
    held_out_frames,
    states_of,
)
from dopamine_core.reward.hops import BalanceConfig, cells_of, hop_label
from dopamine_core.reward.vlm.checkpoint import Checkpoint
from tests.models.grm.training.drawn_task import PROMPT, drawn_demonstration, drawn_pair

CONFIG = PairConfig(pairs=400)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("marks", "chunk", "least", "frames"),
    [
        ([0, 40, 80], 20, 2, [0, 13, 27, 40, 53, 67, 80]),  # Eq. 1: m = (81 // 20) // 2 = 2
        ([0, 10, 20], 20, 5, [0, 5, 10, 15, 20]),  # too short for Eq. 1: divided further
        ([0, 3], 20, 40, [0, 1, 2, 3]),  # never more states than frames
        (
            [0, 2, 20],
            20,
            7,
            [0, 1, 2, 8, 14, 20],
        ),  # every segment counts alike; two divisions share a frame
    ],
)
def test_states_divide_every_segment_evenly(
    marks: list[int], chunk: int, least: int, frames: list[int]
) -> None:
    config = StateConfig(chunk_frames=chunk, min_states=least)
    assert divisions(marks, config).tolist() == frames


def test_a_state_carries_its_own_frames_progress() -> None:
    shown = drawn_demonstration(frames=30)  # keyframes 0, 15, 29: the halves differ in length
    states = states_of(shown, StateConfig(), rng())
    assert states.phi[[0, 15, 29]].tolist() == [0.0, 0.5, 1.0]
    assert states.phi[7] == pytest.approx(0.5 * 7 / 15)
    assert len(states.phi) == 30


def test_waiting_frames_at_the_end_show_the_goal() -> None:
    moving = drawn_demonstration(frames=20)
    pairs = moving.pairs + tuple(drawn_pair(1.0, 20 + k) for k in range(6))
    shown = dataclasses.replace(moving, pairs=pairs, keyframes=(0, 10, 25), gripper=np.zeros(26))
    states = states_of(shown, StateConfig(), rng())
    assert states.phi[19:].tolist() == [1.0] * 7
    drawn = learned_pairs(states.phi, states.learned, CONFIG, rng())
    waiting = (drawn.kind == ZERO) & (drawn.after >= 19)
    assert waiting.any() and (drawn.before[waiting] != drawn.after[waiting]).all()


def test_whole_stretches_are_held_out_with_their_borders() -> None:
    config = StateConfig(held_out_share=0.2, held_out_blocks=2)
    held, near = held_out_frames(100, config, rng())
    assert len(held) == 20 and np.isin(held, near).all()
    assert (np.diff(held) > 1).sum() <= 1  # two stretches, or one where they adjoin
    assert len(near) - len(held) in (2, 4)
    assert 0 not in near and 99 not in near


@pytest.mark.parametrize("frames", [10, 12, 24, 100])
def test_held_out_frames_are_never_learned_from(frames: int) -> None:
    for seed in range(5):
        states = states_of(drawn_demonstration(frames=frames), StateConfig(), rng(seed))
        drawn = learned_pairs(states.phi, states.learned, CONFIG, rng(seed))
        seen = np.union1d(drawn.before, drawn.after)
        assert not np.isin(states.judged, seen).any()
        asked = judged_pairs(states.phi, states.judged, CONFIG, rng(seed))
        anchors = [0, frames - 1]
        assert np.isin(asked.after, states.judged).all()
        assert np.isin(asked.before, [*states.judged, *anchors]).all()
        assert 2 <= len(asked) <= CONFIG.judged_pairs


def test_labels_are_eq_2_and_kinds_have_their_before() -> None:
    states = states_of(drawn_demonstration(frames=60), StateConfig(), rng())
    drawn = learned_pairs(states.phi, states.learned, CONFIG, rng())
    assert (
        drawn.hop.tolist() == hop_label(states.phi[drawn.before], states.phi[drawn.after]).tolist()
    )
    counts = {kind: int((drawn.kind == kind).sum()) for kind in (FORWARD, BACKWARD, ZERO)}
    assert counts == {FORWARD: 80, BACKWARD: 80, ZERO: 20}
    assert (drawn.kind == INCREMENTAL).sum() == 220
    assert (drawn.before[drawn.kind == FORWARD] == 0).all()
    backward = drawn.kind == BACKWARD
    assert (drawn.before[backward] == 59).all()
    assert drawn.hop[backward] == pytest.approx(states.phi[drawn.after[backward]] - 1.0)
    assert (drawn.hop[drawn.kind == ZERO] == 0.0).all()


def test_pairs_are_balanced_over_scores_and_gaps() -> None:
    states = states_of(drawn_demonstration(frames=60), StateConfig(), rng())
    drawn = learned_pairs(states.phi, states.learned, CONFIG, rng())
    drawn = drawn.take(np.flatnonzero(drawn.kind == INCREMENTAL))
    before, after = (part.ravel() for part in np.meshgrid(states.learned, states.learned))
    every = hop_label(states.phi[before], states.phi[after])

    def fullest(hops: np.ndarray, gaps: np.ndarray) -> float:
        counts = np.bincount(cells_of(hops, gaps, BalanceConfig(), 60.0))
        return counts.max() / counts[counts > 0].mean()

    balanced = fullest(drawn.hop, np.abs(drawn.before - drawn.after))
    assert balanced < 0.6 * fullest(every, np.abs(before - after))


def test_same_seed_same_pairs() -> None:
    def drawn(seed: int) -> list[object]:
        source = rng(seed)
        states = states_of(drawn_demonstration(frames=40), StateConfig(), source)
        pairs = learned_pairs(states.phi, states.learned, CONFIG, source)
        return [states.judged.tolist(), pairs.before.tolist(), pairs.after.tolist()]

    assert drawn(3) == drawn(3) != drawn(4)


@pytest.mark.parametrize("wrist", [True, False])
def test_views_are_filled_and_the_goal_is_shown_by_its_own_wrist(
    checkpoint: Checkpoint, wrist: bool
) -> None:
    shown = drawn_demonstration(frames=20, wrist=wrist)
    states = states_of(shown, StateConfig(), rng())
    pairs = learned_pairs(states.phi, states.learned, CONFIG, rng())
    backward = pairs.take(np.flatnonzero(pairs.kind == BACKWARD)[:1])
    maker = QuestionMaker(checkpoint.tokenizer, checkpoint.image_processor, PROMPT)
    [question] = questions_of(
        maker, shown.task, shown.pairs, backward, start=shown.pairs[0], goal=shown.pairs[-1]
    )
    goal_front, before, left, right = question.images[1:5]
    assert before is goal_front and left is right
    assert (left is before) is not wrist
    assert question.hop == backward.hop[0] < 0.0


def test_another_goal_stands_before_backward_pairs(checkpoint: Checkpoint) -> None:
    reference, episode = drawn_demonstration(0), drawn_demonstration(1)
    states = states_of(episode, StateConfig(), rng())
    pairs = judged_pairs(states.phi, states.learned, CONFIG, rng())
    maker = QuestionMaker(checkpoint.tokenizer, checkpoint.image_processor, PROMPT)
    asked = questions_of(
        maker, "fill", episode.pairs, pairs, start=reference.pairs[0], goal=reference.pairs[-1]
    )
    for question, kind in zip(asked, pairs.kind, strict=True):
        assert (question.images[2] is question.images[1]) == (kind == BACKWARD)
        assert (
            question.images[2] is question.images[0]
        ) is False  # FORWARD: this episode's own first frame


def test_too_few_states_are_named() -> None:
    with pytest.raises(DemonstrationError, match="longer demonstration"):
        states_of(drawn_demonstration(frames=40), StateConfig(min_states=2), rng())


def test_shares_above_one_are_named() -> None:
    with pytest.raises(ConfigError, match="anchored_share"):
        PairConfig(zero_share=0.5, anchored_share=0.6)
