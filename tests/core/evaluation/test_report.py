"""The report of a made-up run: whole, self-contained, honest about what is missing."""

import json
import re
from html.parser import HTMLParser

import av
import pytest

from dopamine_core.errors import RecordingError
from dopamine_core.evaluation.report import pick_episodes, write_report
from dopamine_core.evaluation.report_words import findings, lead
from dopamine_core.evaluation.run_log import RunLog
from tests.core.evaluation import synthetic_run

VOID = {"meta", "img", "br", "link", "input"}


class Balance(HTMLParser):
    """Checks that every element is closed in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    synthetic_run.write_run(path)
    write_report(path, synthetic_run.load)
    return path


def test_page_is_well_formed_and_loads_nothing(run_dir):
    page = (run_dir / "report.html").read_text()
    parser = Balance()
    parser.feed(page)
    assert parser.open == []
    assert "<script" not in page
    sources = re.findall(r'(?:src|href)="(.{5})', page)
    assert sources and set(sources) == {"data:"}


def test_page_says_false_and_missed_successes(run_dir):
    page = (run_dir / "report.html").read_text()
    assert "5 of 9 really succeeded; 1 declared success false, 1 real success missed" in page
    assert "That may be chance (p = 0.10)" in page


def test_summary_holds_the_same_figures(run_dir):
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["success"]["rollouts"]["true"] == 5
    assert summary["problems"] == []
    assert "0 of 3 in the first third" in lead(summary)


def test_video_shows_demonstration_worst_and_best(run_dir):
    with av.open(str(run_dir / "overlay.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 3 * (synthetic_run.STEPS + 10)
    image = frames[20].to_ndarray(format="rgb24")
    assert image.shape == (540, 960, 3)
    assert image.std() > 10


def test_best_is_a_true_success_and_worst_is_none(run_dir):
    rows = json.loads((run_dir / "summary.json").read_text())["episodes"]
    shown = dict(pick_episodes(rows))
    assert shown["best"]["true_success"] is True
    assert shown["worst"]["true_success"] is False
    assert shown["demonstration"]["number"] == 1


def test_lost_bags_are_named_and_the_report_stands(tmp_path):
    synthetic_run.write_run(tmp_path)

    def lost(path):
        raise RecordingError(expected="a bag", got="nothing", remedy="look")

    page = write_report(tmp_path, lost).read_text()
    assert "expected a bag, got nothing; look" in page
    assert not (tmp_path / "overlay.mp4").exists()


def test_a_run_cut_short_before_the_first_episode_still_reports(tmp_path):
    RunLog(tmp_path, {"seed": 1, "stopped": "Ctrl-C"}).close()
    page = write_report(tmp_path, synthetic_run.load).read_text()
    assert "No episode was finished" in page
    assert "The run ended early: Ctrl-C." in page


def test_words_admit_a_failed_adaptation(run_dir):
    summary = json.loads((run_dir / "summary.json").read_text())
    summary["notes"]["adapt"] = {"ok": False, "message": "too short"}
    assert "Adaptation did not succeed: too short." in findings(summary)
