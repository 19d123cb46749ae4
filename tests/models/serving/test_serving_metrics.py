"""The metrics page on a hand-made clock."""

import pytest

from dopamine_core.reward.serving.metrics import Metrics


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def values(page: str) -> dict[str, float]:
    """Every line of the page that is no comment."""
    lines = (line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def test_a_fresh_page_has_no_requests() -> None:
    page = values(Metrics(Clock()).page({"queue_length": 0.0}))
    assert page["dopamine_serve_frames_total"] == page["dopamine_serve_frames_per_second"] == 0.0
    assert page["dopamine_serve_request_seconds_count"] == 0.0


def test_what_happened_is_counted() -> None:
    metrics = Metrics(Clock())
    metrics.answered("/health", 200, 0.001)
    metrics.answered("/evaluate_batch", 503, 0.2)
    metrics.answered("/evaluate_batch", 503, 30.0)
    metrics.failed("WireError")
    metrics.rejected("queue_full")
    page = values(metrics.page({"queue_length": 3.0}))
    assert page['dopamine_serve_requests_total{path="/evaluate_batch",code="503"}'] == 2
    assert page['dopamine_serve_errors_total{kind="WireError"}'] == 1
    assert page['dopamine_serve_rejected_total{reason="queue_full"}'] == 1
    assert page["dopamine_serve_queue_length"] == 3.0
    assert page["dopamine_serve_request_seconds_sum"] == pytest.approx(30.201)
    assert metrics.requests() == 3


@pytest.mark.parametrize(("bound", "count"), [("0.01", 1), ("0.25", 2), ("30.0", 3), ("+Inf", 4)])
def test_a_bucket_counts_all_up_to_its_bound(bound: str, count: int) -> None:
    metrics = Metrics(Clock())
    for seconds in (0.01, 0.2, 30.0, 999.0):
        metrics.answered("/x", 200, seconds)
    page = values(metrics.page({}))
    assert page[f'dopamine_serve_request_seconds_bucket{{le="{bound}"}}'] == count


def test_frames_per_second_are_those_of_the_last_minute() -> None:
    clock = Clock()
    metrics = Metrics(clock)
    clock.now_s += 10.0
    metrics.computed(50, 0.1, 0.4)
    assert metrics.frames_per_second() == pytest.approx(5.0)
    clock.now_s += 55.0
    metrics.computed(60, 0.1, 0.6)
    assert metrics.frames_per_second() == pytest.approx(110 / 60)
    clock.now_s += 10.0
    assert metrics.frames_per_second() == pytest.approx(1.0)
    assert metrics.pace() == pytest.approx(1 / 60)
