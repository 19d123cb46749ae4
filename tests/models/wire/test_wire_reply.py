"""Replies: what is written comes back; both official shapes are read; an answer out of range is no answer."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dopamine_core.errors import WireError
from dopamine_core.reward.wire.reply import from_json, to_json
from dopamine_core.reward.wire.values import FrameAnswer, PreferenceAnswer, Reply

REPLY = Reply(
    (
        (FrameAnswer(0.25, 0.5), FrameAnswer(text="INVALID_HOP: no score in the answer")),
        (FrameAnswer(1.0, 0.0),),
    ),
    (PreferenceAnswer(0.75), PreferenceAnswer(text="no")),
)
OFFICIAL = {
    "outputs_preference": None,
    "outputs_progress": {"progress_pred": [[0.1, 0.9]]},
    "outputs_success": {"success_probs": [[0.2, 0.8]]},
}
BASELINE = {
    "outputs_preference": None,
    "outputs_progress": {"progress_pred": [[0.1, 0.9]], "success_probs": [[0.2, 0.8]]},
}


def over_the_wire(reply: Reply) -> Any:
    return json.loads(json.dumps(to_json(reply), allow_nan=False))


def test_a_reply_comes_back() -> None:
    back = from_json(over_the_wire(REPLY), [2, 1], 2)
    assert str(back.progress) == str(REPLY.progress)
    assert back.preferences[0] == PreferenceAnswer(0.75)
    assert math.isnan(back.preferences[1].probability) and back.preferences[1].text


@pytest.mark.parametrize("shape", [OFFICIAL, BASELINE])
def test_success_is_read_at_both_places(shape: dict) -> None:
    [[first, last]] = from_json(shape, [2], 0).progress
    assert first == FrameAnswer(0.1, 0.2) and last == FrameAnswer(0.9, 0.8)


def test_preferences_of_the_official_server_are_read() -> None:
    head = {"predictions": [1], "prediction_probs": [0.875], "preference_labels": [1.0]}
    value = {"outputs_preference": head, "outputs_progress": None, "outputs_success": None}
    assert from_json(value, [], 1).preferences == (PreferenceAnswer(0.875),)


def test_a_frame_without_an_answer_is_null_and_never_zero() -> None:
    value = over_the_wire(REPLY)
    assert value["outputs_progress"]["progress_pred"] == [[0.25, None], [1.0]]
    assert value["outputs_preference"]["prediction_probs"] == [0.75, None]
    seen_by_others = np.array(value["outputs_progress"]["progress_pred"][0], np.float32)
    assert math.isnan(seen_by_others[1])


def test_heads_that_nothing_was_asked_of_are_null() -> None:
    assert to_json(Reply(((FrameAnswer(0.5),),)))["outputs_preference"] is None
    assert to_json(Reply(((FrameAnswer(0.5),),)))["outputs_success"] is None
    assert to_json(Reply((), (PreferenceAnswer(0.5),)))["outputs_progress"] is None


@pytest.mark.parametrize("value", [1.2, -0.2, math.nan, math.inf, "0.5", True, None, [], {}])
def test_an_answer_out_of_range_is_no_answer(value: Any) -> None:
    [[answer]] = from_json({"outputs_progress": {"progress_pred": [[value]]}}, [1], 0).progress
    assert math.isnan(answer.progress) and "expected progress in [0, 1]" in answer.text


def test_a_success_out_of_range_is_no_answer_either() -> None:
    value = OFFICIAL | {"outputs_success": {"success_probs": [[0.1, 7.0]]}}
    [[_, last]] = from_json(value, [2], 0).progress
    assert math.isnan(last.progress) and "success" in last.text


def test_rounding_of_the_head_is_clamped() -> None:
    [[a, b]] = from_json({"outputs_progress": {"progress_pred": [[-1e-5, 1.0002]]}}, [2], 0).progress
    assert (a.progress, b.progress) == (0.0, 1.0)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "ok",
        {},
        {"outputs_progress": None},
        {"outputs_progress": {}},
        {"outputs_progress": {"progress_pred": []}},
        {"outputs_progress": {"progress_pred": [[0.1]]}},
        {"outputs_progress": {"progress_pred": [[0.1, 0.2], [0.3, 0.4]]}},
        {"outputs_progress": {"progress_pred": 0.5}},
        {"outputs_progress": {"progress_pred": [[0.1, 0.2]], "success_probs": [[0.1]]}},
        OFFICIAL | {"outputs_success": {"success_probs": [[0.1, 0.2, 0.3]]}},
    ],
)
def test_what_is_no_reply_to_the_request_is_named(value: Any) -> None:
    with pytest.raises(WireError):
        from_json(value, [2], 0)


@pytest.mark.parametrize("head", [None, {}, {"prediction_probs": []}, {"prediction_probs": 1}])
def test_a_missing_preference_is_named(head: Any) -> None:
    with pytest.raises(WireError):
        from_json({"outputs_preference": head}, [], 1)


fractions = st.floats(0.0, 1.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.tuples(fractions, fractions), min_size=1, max_size=4), min_size=1))
def test_numbers_travel_exactly(rows: list) -> None:
    reply = Reply(tuple(tuple(FrameAnswer(*pair) for pair in row) for row in rows))
    assert from_json(over_the_wire(reply), [len(row) for row in rows], 0) == reply
