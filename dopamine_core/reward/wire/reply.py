"""Answers become the JSON of a reply and back.

Robometer's server puts success probabilities at ``outputs_success.success_probs``, its baseline server at
``outputs_progress.success_probs``: both places are read. A frame without an answer is ``null``, never 0;
``outputs_progress.statuses`` says why. That and ``outputs_progress.uncertainties``, the standard deviations of
progress, are this suite's extension, which others ignore.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dopamine_core.errors import WireError
from dopamine_core.reward.wire.values import FrameAnswer, PreferenceAnswer, Reply

OK = "OK"
_ROUNDING = 1e-3  # of half-precision heads; answers are clamped within it
_MOST_WORDS = 200


def to_json(reply: Reply) -> dict[str, Any]:
    """Write a reply; a head that nothing was asked of is ``null``."""
    return {
        "outputs_preference": _preferences_to_json(reply.preferences)
        if reply.preferences
        else None,
        "outputs_progress": _progress_to_json(reply) if reply.progress else None,
        "outputs_success": _success_to_json(reply),
    }


def from_json(value: Any, lengths: Sequence[int], preferences: int) -> Reply:
    """Read a reply. A single answer that cannot be used is NaN and says why.

    :param value: parsed JSON.
    :param lengths: frames of each progress sample asked.
    :param preferences: number of preference samples asked.
    :raises WireError: when it is no reply to this request.
    """
    outputs = _mapping(value, "the reply")
    progress = _progress_from_json(outputs, lengths) if lengths else ()
    return Reply(progress, _preferences_from_json(outputs, preferences) if preferences else ())


def _progress_to_json(reply: Reply) -> dict[str, Any]:
    return {
        "progress_pred": [[_number(a.progress) for a in row] for row in reply.progress],
        "statuses": [[a.text or OK for a in row] for row in reply.progress],
        "uncertainties": [[_number(a.uncertainty) for a in row] for row in reply.progress],
    }


def _success_to_json(reply: Reply) -> dict[str, Any] | None:
    rows = [[_number(a.success) for a in row] for row in reply.progress]
    known = any(number is not None for row in rows for number in row)
    return {"success_probs": rows} if known else None


def _preferences_to_json(answers: Sequence[PreferenceAnswer]) -> dict[str, Any]:
    known = [math.isfinite(a.probability) for a in answers]
    return {
        "predictions": [
            int(a.probability > 0.5) if ok else None for a, ok in zip(answers, known, strict=True)
        ],
        "prediction_probs": [_number(a.probability) for a in answers],
        "preference_labels": [1.0] * len(answers),  # the first trajectory is the chosen one
        "statuses": [a.text or OK for a in answers],
    }


def _progress_from_json(
    outputs: dict[str, Any], lengths: Sequence[int]
) -> tuple[tuple[FrameAnswer, ...], ...]:
    head = _mapping(outputs.get("outputs_progress"), "outputs_progress")
    progress = _rows(head.get("progress_pred"), lengths, "outputs_progress.progress_pred")
    success = _success_rows(outputs, head, lengths)
    statuses = _optional_rows(head.get("statuses"), lengths, "outputs_progress.statuses")
    spread = _optional_rows(head.get("uncertainties"), lengths, "outputs_progress.uncertainties")
    return tuple(
        tuple(_frame_answer(*values) for values in zip(*rows, strict=True))
        for rows in zip(progress, success, statuses, spread, strict=True)
    )


def _success_rows(
    outputs: dict[str, Any], head: dict[str, Any], lengths: Sequence[int]
) -> list[list[Any]]:
    own = outputs.get("outputs_success")
    found = own.get("success_probs") if isinstance(own, dict) else None
    if found is not None:
        return _rows(found, lengths, "outputs_success.success_probs")
    return _optional_rows(head.get("success_probs"), lengths, "outputs_progress.success_probs")


def _optional_rows(value: Any, lengths: Sequence[int], name: str) -> list[list[Any]]:
    if value is None:
        return [[None] * length for length in lengths]
    return _rows(value, lengths, name)


def _rows(value: Any, lengths: Sequence[int], name: str) -> list[list[Any]]:
    shaped = isinstance(value, list) and all(isinstance(row, list) for row in value)
    if not shaped or [len(row) for row in value] != list(lengths):
        got = str([len(row) for row in value]) if shaped else f"{value!r:.80}"
        raise WireError(
            expected=f"{name} as lists of {', '.join(map(str, lengths))} values, one for each frame",
            got=got,
            remedy="is this a Robometer server? Compare its version with this client's",
        )
    return value


def _frame_answer(progress: Any, success: Any, status: Any, uncertainty: Any) -> FrameAnswer:
    value, fault = _fraction(progress, "progress")
    probability, success_fault = _optional_fraction(success, "success")
    said = str(status)[:_MOST_WORDS] if status not in (None, OK) else ""
    text = (said if progress is None else "") or fault or success_fault
    if text:
        return FrameAnswer(text=text)
    spread, _ = _optional_fraction(uncertainty, "uncertainty")
    return FrameAnswer(value, probability, uncertainty=spread)


def _preferences_from_json(outputs: dict[str, Any], count: int) -> tuple[PreferenceAnswer, ...]:
    head = _mapping(outputs.get("outputs_preference"), "outputs_preference")
    [probabilities] = _rows(
        [head.get("prediction_probs")], [count], "outputs_preference.prediction_probs"
    )
    answers = (_fraction(value, "a preference") for value in probabilities)
    return tuple(PreferenceAnswer(value, fault) for value, fault in answers)


def _fraction(value: Any, name: str) -> tuple[float, str]:
    """Return a number in [0, 1], or NaN and why."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not -_ROUNDING <= value <= 1.0 + _ROUNDING:
        return math.nan, f"expected {name} in [0, 1], got {value!r:.40}; the answer is not used"
    return min(1.0, max(0.0, float(value))), ""


def _optional_fraction(value: Any, name: str) -> tuple[float, str]:
    return (math.nan, "") if value is None else _fraction(value, name)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WireError(
            expected=f"{name} as a mapping",
            got=f"{value!r:.80}",
            remedy="is this a Robometer server? Look at its log",
        )
    return value
