"""Figures of a run in, plain sentences out: what was done, what was learned, what cannot be said."""

from __future__ import annotations

from typing import Any

SIGNIFICANT = 0.05


def lead(summary: dict[str, Any]) -> str:
    """One sentence on top of the report."""
    if not summary["episodes"]:
        return "No episode was finished in this run, so there is nothing to judge."
    learning = summary["learning"]
    if learning is None:
        count = summary["success"]["rollouts"]["episodes"]
        if not count:
            return "The arm did not practise, so nothing can be said about learning."
        return f"{_count(count, 'rollout')}: too few to say whether the arm improved."
    first, last = learning["first"], learning["last"]
    change = (
        f"{first['successes']} of {first['episodes']} in the first third of the rollouts, "
        f"{last['successes']} of {last['episodes']} in the last"
    )
    judge = (
        "by the simulator's own test"
        if learning["judge"] == "simulator"
        else "as declared by the reward node"
    )
    if learning["p_value"] < SIGNIFICANT:
        word = "more" if _rate(last) > _rate(first) else "less"
        return f"The arm succeeded {word} often at the end: {change}, {judge} (p = {learning['p_value']:.3f})."
    return f"Successes ({judge}): {change}. That may be chance (p = {learning['p_value']:.2f})."


def findings(summary: dict[str, Any]) -> list[str]:
    """Sentences below it, in the order of the stream."""
    parts = (
        _demonstrations,
        _adaptation,
        _training,
        _practice,
        _agreement,
        _phases,
        _returns,
        _health,
        _stop,
    )
    return [text for part in parts for text in part(summary)]


def _demonstrations(summary: dict[str, Any]) -> list[str]:
    figures = summary["success"]["demonstrations"]
    if not figures["episodes"]:
        return ["No demonstration was recorded."]
    kept = sum(row["kept"] for row in summary["episodes"] if row["kind"] == "demonstration")
    return [
        f"{_count(figures['episodes'], 'demonstration')} recorded by teleoperation, {kept} kept by the operator."
    ]


def _adaptation(summary: dict[str, Any]) -> list[str]:
    note = summary["notes"].get("adapt")
    if note is None:
        return ["The reward model was not adapted."]
    if not note.get("ok"):
        return [f"Adaptation did not succeed: {note.get('message', 'no message')}."]
    before, after = note["rmse_before"], note["rmse_after"]
    direction = "fell" if after < before else "did not fall"
    judged = (
        "a demonstration it had not seen"
        if note.get("held_out")
        else "held-out pairs of the same demonstration"
    )
    sentence = (
        f"The reward model was adapted to one demonstration: on {judged} its error of progress (RMSE) {direction}, "
        f"from {before:.3f} to {after:.3f}; success is declared from {note['success_threshold']:.2f} upwards."
    )
    return [sentence]


def _training(summary: dict[str, Any]) -> list[str]:
    learner = summary["learner"]
    if learner is None:
        return ["No learner was heard."]
    sentence = (
        f"The learner made {learner['gradient_steps']} gradient steps on "
        f"{learner['offline_transitions']} demonstrated and {learner['online_transitions']} practised transitions "
        f"({learner['dropped_transitions']} dropped as not whole) and published "
        f"{_count(learner['policy_version'], 'policy version')}."
    )
    return [sentence]


def _practice(summary: dict[str, Any]) -> list[str]:
    figures = summary["success"]["rollouts"]
    if not figures["episodes"]:
        return ["The arm did not practise."]
    rows = [row for row in summary["episodes"] if row["kind"] == "rollout"]
    shifted = sum(bool(row["shift"]) for row in rows)
    where = "all" if shifted == len(rows) else f"{shifted}"
    sentence = (
        f"The arm practised {_count(figures['episodes'], 'rollout')}, {where} of them with the declared shift; "
        f"{figures['declared']} ended in declared success; {_takeovers(figures['takeovers'])}."
    )
    return [sentence]


def _agreement(summary: dict[str, Any]) -> list[str]:
    groups = [summary["success"][name] for name in ("rollouts", "evaluations")]
    judged = sum(group["judged"] for group in groups)
    if not judged:
        return ["The simulator's truth was not heard, so false and missed successes are unknown."]
    false = sum(group["false_successes"] for group in groups)
    missed = sum(group["missed_successes"] for group in groups)
    true = sum(group["true"] for group in groups)
    sentence = (
        f"Against the simulator's truth, which nothing learns from: {true} of {judged} really succeeded; "
        f"{_count(false, 'declared success')} false, {_count(missed, 'real success')} missed."
    )
    return [sentence]


def _phases(summary: dict[str, Any]) -> list[str]:
    sentences = []
    for name, figures in summary["success"]["by_phase"].items():
        if figures["judged"]:
            low, high = figures["true_interval"]
            sentences.append(
                f"{name}: {figures['true']} of {figures['judged']} truly succeeded "
                f"(95 % interval of the rate {low:.0%} to {high:.0%}), {figures['declared']} were declared."
            )
    return sentences


def _returns(summary: dict[str, Any]) -> list[str]:
    learning = summary["learning"]
    if learning is None or learning["return_first"] is None or learning["return_last"] is None:
        return []
    sentence = (
        f"The mean return per rollout went from {learning['return_first']:.2f} (first third) to "
        f"{learning['return_last']:.2f} (last third)."
    )
    return [sentence]


def _health(summary: dict[str, Any]) -> list[str]:
    learner = summary["learner"]
    sentences = []
    if learner and learner["health"]:
        sentences.append("The learner warned: " + "; ".join(learner["health"]) + ".")
    if learner and learner["waiting_s"]:
        reason, seconds = max(learner["waiting_s"].items(), key=lambda item: item[1])
        sentences.append(f"It waited longest ({seconds:.0f} s) for: {reason}.")
    invalid = sum(
        summary["success"][name]["invalid_potentials"] for name in ("rollouts", "evaluations")
    )
    if invalid:
        sentences.append(
            f"{invalid} decisions have no valid potential; their transitions were not learned from."
        )
    return sentences


def _stop(summary: dict[str, Any]) -> list[str]:
    stopped = summary["run"].get("stopped")
    return [f"The run ended early: {stopped}."] if stopped else []


def _rate(group: dict[str, int]) -> float:
    return group["successes"] / group["episodes"] if group["episodes"] else 0.0


def _takeovers(count: int) -> str:
    return "nobody took over" if count == 0 else f"a person took over {_count(count, 'time')}"


def _count(number: int, noun: str) -> str:
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
