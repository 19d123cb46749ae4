"""Run log: what is written is read back; kills and bad folders are survived or named."""

import json
import math

import pytest

from dopamine_core.errors import RecordingError
from dopamine_core.evaluation.run_log import RunLog, finite, read_run


def test_records_come_back_in_order(tmp_path):
    log = RunLog(tmp_path / "run", {"seed": 3})
    for index in range(5):
        log.write("progress", index * 0.1, {"progress": index / 10})
    log.update_header(model="abc")
    log.close()
    run = read_run(tmp_path / "run")
    assert run.header == {"seed": 3, "model": "abc"}
    assert [record["progress"] for record in run.of("progress")] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert run.of("episode") == []


def test_a_missing_reading_is_null_never_zero(tmp_path):
    log = RunLog(tmp_path, {})
    log.write("potential", 0.0, {"hop": [math.nan, 0.5, math.inf], "potential": math.nan})
    log.close()
    line = (tmp_path / "log" / "potential.jsonl").read_text()
    assert json.loads(line) == {"t": 0.0, "hop": [None, 0.5, None], "potential": None}
    assert finite({"a": (math.nan, 1)}) == {"a": [None, 1]}


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path):
    log = RunLog(tmp_path, {})
    log.write("reward", 1.0, {"total": 0.5})
    with (tmp_path / "log" / "reward.jsonl").open("a") as file:
        file.write('{"t": 2.0, "tot')
    assert [record["t"] for record in read_run(tmp_path).of("reward")] == [1.0]


def test_every_finished_line_is_on_disk_before_close(tmp_path):
    log = RunLog(tmp_path, {})
    log.write("reward", 1.0, {"total": 0.5})
    assert len(read_run(tmp_path).of("reward")) == 1


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="a kind of record"):
        RunLog(tmp_path, {}).write("progess", 0.0, {})


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(RecordingError, match=r"expected a run folder with run\.json"):
        read_run(tmp_path)


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="choose another --run-dir"):
        RunLog(tmp_path / "file" / "run", {})
