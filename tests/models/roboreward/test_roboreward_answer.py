"""RoboReward answers: what is read, and what is not."""

import pytest

from dopamine_core.reward.roboreward.answer import SCORES, read_score, to_progress

READ = {
    "ANSWER: 1": 1,
    "ANSWER: 5": 5,
    "answer:3": 3,
    "  Answer:\n4\n": 4,
    "The block is on the tray. ANSWER: 2.": 2,
    "ANSWER: 4 (one requirement of 2 is missed)": 4,
    "ANSWER: 3\nANSWER: 3": 3,
    "ANSWER: 05": 5,
}
NOT_READ = [
    "",
    "4",
    "the score is 4",
    "ANSWER:",
    "ANSWER: <score>",
    "ANSWER: 0",
    "ANSWER: 6",
    "ANSWER: 45",
    "ANSWER: 4.5",
    "ANSWER: 4,5",
    "ANSWER: 4/5",
    "ANSWER: 3-4",
    "ANSWER: 3 - 4",
    "ANSWER: 3 4",
    "ANSWER: 5%",
    "ANSWER: -3",
    "ANSWER: four",
    "ANSWER: ٣",
    "ANSWER: 3 ANSWER: 4",
    "ANSWER: 3 ANSWER:",
]


@pytest.mark.parametrize(("text", "score"), READ.items())
def test_an_answer_is_read(text: str, score: int) -> None:
    assert read_score(text) == score


@pytest.mark.parametrize("text", NOT_READ)
def test_what_is_no_answer_is_none(text: str) -> None:
    assert read_score(text) is None


def test_scores_are_quarters_of_progress() -> None:
    assert [to_progress(score) for score in SCORES] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert to_progress(3.4) == pytest.approx(0.6)
