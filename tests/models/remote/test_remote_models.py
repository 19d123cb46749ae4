"""The back ends over a real connection: what they ask, what they read, and what a bad answer costs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dopamine_core.errors import ConfigError, ImageError, ModelError
from dopamine_core.reward.grm import prompt as grm_prompt
from dopamine_core.reward.labelling import EpisodeLabeller
from dopamine_core.reward.models.gvl import order, read_percentages
from dopamine_core.reward.models.topreward import true_logprob
from dopamine_core.reward.models.vlac import accumulate, read_critic
from dopamine_core.reward.registry import load_reward_model
from dopamine_core.reward.remote.chat import Reply, Token
from dopamine_core.reward.remote.faults import RemoteError
from dopamine_core.reward.session import HopQuery, References, RewardModel, RewardSession
from dopamine_core.reward.success import SuccessRule
from dopamine_core.types import Decision, DecisionOwner, EncodedImage, FramePair, Status
from tests.core.reward.toy_model import bar_pair, hop_of
from tests.models.remote.fake_server import SHARE, Asked, FakeServer, Fault
from tests.models.remote.quick import QUICK
from tests.models.remote.served import SERVED

TASK = "fill {the} bar <image>"
REFERENCES = References(TASK, (bar_pair(1.0),), bar_pair(0.03))
CLIPS = ("roboreward_remote", "gvl", "topreward")
SHARES = (0.1, 0.3, 0.25, 0.6, 0.9)


def load(name: str, server: FakeServer, **settings: Any) -> RewardModel:
    return load_reward_model(name, server.address, settings={**QUICK, **SERVED[name], **settings})


def session_of(name: str, server: FakeServer, **settings: Any) -> RewardSession:
    return load(name, server, **settings).open(REFERENCES)


def shares_of(asked: Asked) -> list[float]:
    return [round(share, 2) for share in asked.shares]


def said(asked: Asked) -> list[str]:
    """The question's parts in order: words, and ``image`` for a picture."""
    return [part.get("text", "image") for part in asked.body["messages"][0]["content"]]


# ---- every back end


@pytest.mark.parametrize("name", SERVED)
def test_progress_follows_what_is_shown(server: FakeServer, name: str) -> None:
    session = session_of(name, server)
    readings = [session.observe(bar_pair(share, k + 1)) for k, share in enumerate(SHARES)]
    assert all(reading.status is Status.OK and reading.inference_ns > 0 for reading in readings)
    progress = [reading.progress for reading in readings]
    order_seen = sorted(range(len(SHARES)), key=lambda k: (progress[k], SHARES[k]))
    assert order_seen == sorted(range(len(SHARES)), key=lambda k: SHARES[k])
    assert all(asked.body["temperature"] == 0 for asked in server.asked)


@pytest.mark.parametrize("name", SERVED)
def test_the_task_is_taken_as_it_is(server: FakeServer, name: str) -> None:
    session = session_of(name, server)
    session.observe(bar_pair(0.2))
    session.observe(bar_pair(0.4))
    assert all(TASK in asked.text for asked in server.asked)


@pytest.mark.parametrize("name", SERVED)
def test_the_default_words_are_served_with_their_hash(server: FakeServer, name: str, tmp_path: Path) -> None:
    own = load(name, server).model_id
    assert own.name == name and len(own.sha256) == 64
    file = tmp_path / "prompt.txt"
    places = {"grm_remote": 8, "vlac": 2}.get(name, 0)
    file.write_text("{task}" + "<image>" * places)
    other = {"prompt": "file"} if name in ("grm_remote", "roboreward_remote") else {}
    assert load(name, server, prompt_file=str(file), **other).model_id.sha256 != own.sha256


BAD = {
    "another text": Fault("content", text="I cannot say.\udc80 " + "x" * 5000),
    "an empty text": Fault("content", text=""),
    "an answer out of range": Fault("content", text="<score>+250%</score> ANSWER: 9 [250]"),
    "a cut answer": Fault("content", text="<score>+2"),
}


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("name", [name for name in SERVED if name != "topreward"])
def test_an_answer_that_cannot_be_read_is_invalid_and_holds(server: FakeServer, name: str, fault: str) -> None:
    session = session_of(name, server)
    first = session.observe(bar_pair(0.1))
    server.fault_of = lambda _: BAD[fault]
    if fault == "a cut answer":
        server.fault_of = lambda _: Fault("cut") if name in ("grm_remote", "vlac") else BAD[fault]
    bad = session.observe(bar_pair(0.3))
    assert bad.status is Status.INVALID_HOP and bad.progress == first.progress
    assert "expected" in bad.text and len(bad.text.encode()) < 800
    server.fault_of = lambda _: None
    assert session.observe(bar_pair(0.3)).progress == pytest.approx(session_after(name, server, 0.1, 0.3), abs=1e-9)


def session_after(name: str, server: FakeServer, *shares: float) -> float:
    """Progress of a fresh session that saw these."""
    session = session_of(name, server)
    return [session.observe(bar_pair(share)).progress for share in shares][-1]


FAULTS = {
    "hang": Fault("hang"),
    "refuse": Fault("refuse", status=500),
    "close_in_the_middle": Fault("close_in_the_middle"),
    "HTML": Fault("body", text="<html>", headers={"Content-Type": "text/html"}),
    "other_question": Fault("other_question"),
    "no_choice": Fault("no_choice"),
    "endless": Fault("endless"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", SERVED)
def test_no_label_is_lost_when_the_server_goes_wrong(server: FakeServer, name: str, fault: str) -> None:
    model = load(name, server, retries=0, read_timeout_s=0.3)
    labeller = EpisodeLabeller(model, REFERENCES, SuccessRule(0.99))
    server.fault_of = lambda asked: FAULTS[fault] if shares_of(asked)[-1] == 0.59 or _newest(name, asked) else None
    potentials = [labeller.label(_decision(k), bar_pair(share, k + 1)) for k, share in enumerate(SHARES)]
    assert [potential.index for potential in potentials] == list(range(len(SHARES)))
    assert [potential.reading.ok for potential in potentials] == [True, True, True, False, True]
    bad = potentials[3].reading
    assert bad.progress == potentials[2].reading.progress and "expected" in bad.text
    assert math.isnan(potentials[3].potential)


def _newest(name: str, asked: Asked) -> bool:
    """Whether GVL's shuffled question is the one that shows 0.6 as the newest of four frames."""
    return name == "gvl" and len(asked.images) == 4


def _decision(k: int) -> Decision:
    return Decision(k + 1, "e", k, DecisionOwner.AGENT, k + 1, k + 1, k + 1)


@pytest.mark.parametrize("name", SERVED)
def test_two_robots_of_one_process_get_their_own_answers(server: FakeServer, name: str) -> None:
    server.seconds = 0.01
    one, two = session_of(name, server), session_of(name, server)
    mixed: list[list[float]] = [[], []]
    for a, b in zip(SHARES, reversed(SHARES), strict=True):
        mixed[0].append(one.observe(bar_pair(a)).progress)
        mixed[1].append(two.observe(bar_pair(b)).progress)
    alone = []
    for shares in (SHARES, tuple(reversed(SHARES))):
        session = session_of(name, server)
        alone.append([session.observe(bar_pair(share)).progress for share in shares])
    assert mixed == alone


# ---- GRM


def test_the_grm_asks_eight_pictures_three_times_at_once(server: FakeServer) -> None:
    session = session_of("grm_remote", server)
    session.observe(bar_pair(0.25))
    server.asked.clear()
    server.seconds = 0.05
    session.observe(FramePair(bar_pair(0.5).front, bar_pair(0.75).wrist))
    assert server.most_in_work == 3
    assert sorted(map(shares_of, server.asked)) == [
        [0.03, 1.0, 0.25, 0.25, 0.25, 0.5, 0.75, 0.75],
        [0.03, 1.0, 0.25, 0.25, 0.25, 0.5, 0.75, 0.75],
        [0.03, 1.0, 1.0, 1.0, 1.0, 0.5, 0.75, 0.75],
    ]
    body = server.asked[0].body
    assert body["stop"] == ["</score>"] and body["max_tokens"] == 24
    assert "mm_processor_kwargs" not in body and "logprobs" not in body


def test_the_grm_answers_hops_in_the_order_of_queries(server: FakeServer) -> None:
    model = load("grm_remote", server)._hop_model  # type: ignore[attr-defined]
    shares = (0.1, 0.9, 0.3, 0.7, 0.5, 0.2)
    server.fault_of = lambda asked: Fault("late", 0.05 * (1 - asked.shares[5]))
    full = model.encode(bar_pair(1.0))
    queries = [HopQuery("t", full, full, model.encode(bar_pair(0.4)), model.encode(bar_pair(s))) for s in shares]
    hops = [answer.hop for answer in model.hops(queries)]
    assert hops == pytest.approx([hop_of(0.4, share) for share in shares], abs=0.03)


@pytest.mark.parametrize("leave", [False, True])
@pytest.mark.parametrize("told", [False, True])
def test_the_stop_string_may_be_in_the_reply_or_not(server: FakeServer, leave: bool, told: bool) -> None:
    server.leave_stop, server.stop_reason = leave, told
    session = session_of("grm_remote", server)
    assert session.observe(bar_pair(0.1)).ok and session.observe(bar_pair(0.4)).ok


def test_an_answer_that_the_model_ended_without_its_tag_is_invalid(server: FakeServer) -> None:
    session = session_of("grm_remote", server)
    session.observe(bar_pair(0.1))
    server.write = lambda _: "<score>+12"
    reading = session.observe(bar_pair(0.4))
    assert reading.status is Status.INVALID_HOP and "'<score>+12'" in reading.text


def test_the_official_limits_are_told_to_the_server_and_bytes_go_as_they_came(server: FakeServer) -> None:
    session = session_of("grm_remote", server, resize="server")
    pair = bar_pair(0.5)
    session.observe(pair)
    asked = server.asked[0]
    assert asked.body["mm_processor_kwargs"] == {"min_pixels": 12_544, "max_pixels": 76_800}
    assert asked.images[-1].data == pair.wrist.data and asked.images[-3].data == pair.front.data


def test_the_official_prompt_is_known_by_its_hash(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Published words about {task}:" + " <image>" * 8
    file = tmp_path / "inference.py"
    file.write_text(f"SYSTEM_PROMPT = {text!r}\n")
    with pytest.raises(ModelError, match="sha256"):
        load("grm_remote", server, prompt="official", prompt_file=str(file))
    monkeypatch.setattr(grm_prompt, "OFFICIAL_SHA256", hashlib.sha256(text.encode()).hexdigest())
    session = load("grm_remote", server, prompt="official", prompt_file=str(file)).open(REFERENCES)
    session.observe(bar_pair(0.5))
    assert said(server.asked[0])[:3] == [f"Published words about {TASK}: ", "image", " "]


def test_an_expected_hop_is_the_mean_over_its_digits(server: FakeServer) -> None:
    server.write = lambda _: "<score>+45.0%</score>"
    session = session_of("grm_remote", server, reading="expected")
    session.observe(bar_pair(0.1))
    reading = session.observe(bar_pair(0.5))
    # 4 and 5 have neighbours on both sides, 0 only 1: the shift is that of the last digit alone.
    assert reading.hop == pytest.approx((0.45 + (1 - SHARE) * 0.001,) * 3)
    assert reading.uncertainty > 0.0
    assert server.asked[0].body["logprobs"] is True and server.asked[0].body["top_logprobs"] == 20


@pytest.mark.parametrize("name", ["grm_remote", "roboreward_remote"])
def test_expected_scores_need_log_probabilities(server: FakeServer, name: str) -> None:
    server.logprobs = False
    reading = session_of(name, server, reading="expected").observe(bar_pair(0.5))
    assert not reading.ok and "reading: written" in reading.text


# ---- RoboReward


def test_roboreward_shows_frames_first_and_an_even_number(server: FakeServer) -> None:
    session = session_of("roboreward_remote", server, frames=4)
    for share in SHARES:
        session.observe(bar_pair(share))
    assert [len(asked.images) for asked in server.asked] == [2, 2, 4, 4, 4]
    assert shares_of(server.asked[2]) == [0.09, 0.3, 0.25, 0.25]
    assert all(words[-1] != "image" and set(words[:-1]) == {"image"} for words in map(said, server.asked))


def test_roboreward_maps_five_levels(server: FakeServer) -> None:
    session = session_of("roboreward_remote", server)
    for level in range(1, 6):
        server.write = lambda _, level=level: f"answer: {level}"
        reading = session.observe(bar_pair(0.1 * level))
        assert reading.progress == (level - 1) / 4
        assert reading.success_probability == (1.0 if level == 5 else 0.0)


def test_roboreward_can_send_one_video(server: FakeServer) -> None:
    session = session_of("roboreward_remote", server, clip="video")
    session.observe(bar_pair(0.3))
    [part, _] = server.asked[0].body["messages"][0]["content"]
    assert part["type"] == "video_url" and len(server.asked[0].images) == 2


def test_roboreward_soft_scores(server: FakeServer) -> None:
    server.write = lambda _: "ANSWER: 5"
    reading = session_of("roboreward_remote", server, reading="expected").observe(bar_pair(0.9))
    # neighbours 4 and 6 have 0.1 each; 6 is no score, so 5 has 8/9
    assert reading.success_probability == pytest.approx(8 / 9)
    assert reading.progress == pytest.approx((8 / 9 * 5 + 1 / 9 * 4 - 1) / 4)
    assert reading.uncertainty == pytest.approx(math.sqrt(8 / 81) / 4)


def test_roboreward_mass_off_the_digits_is_invalid(server: FakeServer) -> None:
    server.write = lambda _: "ANSWER: 5"
    session = session_of("roboreward_remote", server, reading="expected", min_mass=0.95)
    reading = session.observe(bar_pair(0.9))
    assert reading.status is Status.INVALID_HOP and "0.95" in reading.text and "0.9;" in reading.text


def test_the_same_digit_may_be_said_twice(server: FakeServer) -> None:
    server.write = lambda _: "ANSWER: 4. I repeat, ANSWER: 4"
    assert session_of("roboreward_remote", server).observe(bar_pair(0.9)).progress == 0.75


# ---- GVL


def test_gvl_shuffles_all_but_the_first_frame(server: FakeServer) -> None:
    session = session_of("gvl", server)
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    progress = [session.observe(bar_pair(share)).progress for share in shares]
    assert progress == pytest.approx(shares, abs=0.01)
    assert len(server.asked) == 4  # the first frame is known
    shown = shares_of(server.asked[-1])
    assert shown[0] == 0.0 and shown[1:] == [shares[k + 1] for k in order(4, 0)]
    words = said(server.asked[-1])
    assert words[1:5] == ["Beginning, 0 percent: ", "image", "Picture 1: ", "image"]


def test_another_seed_is_another_order(server: FakeServer) -> None:
    orders = set()
    for seed in range(4):
        server.asked.clear()
        session = session_of("gvl", server, seed=seed)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            session.observe(bar_pair(share))
        orders.add(tuple(shares_of(server.asked[-1])))
    assert len(orders) > 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2.5, 100]", [1.0, 2.5, 100.0]),
        ('```json\n{"progress": [1, 2, 3]}\n```', [1.0, 2.0, 3.0]),
        ("For [3] pictures: [1, 2, 3]", [1.0, 2.0, 3.0]),
        ("[1, 2, 3] or [3, 2, 1]", None),
        ("[1, 2]", None),
        ("[1, 2, 3, 4]", None),
        ("[1, 2, 101]", None),
        ("[1, 2, -1]", None),
        ("[1, 2, NaN]", None),
        ("[1, 2, true]", None),
        ('[1, 2, "3"]', None),
        ("[1, 2, null]", None),
        ("1, 2, 3", None),
    ],
)
def test_lists_of_gvl(text: str, expected: list[float] | None) -> None:
    assert read_percentages(text, 3) == expected


@given(st.text(max_size=40), st.lists(st.floats(0.0, 100.0), min_size=1, max_size=5))
def test_any_text_is_a_list_in_range_or_none(text: str, values: list[float]) -> None:
    found = read_percentages(text, 2)
    assert found is None or (len(found) == 2 and all(0.0 <= value <= 100.0 for value in found))
    assert read_percentages(f"so: {json.dumps(values)}", len(values)) == values


@given(st.integers(1, 64), st.integers(0, 2**31))
def test_an_order_is_a_permutation(count: int, seed: int) -> None:
    assert sorted(order(count, seed)) == list(range(count)) and order(count, seed) == order(count, seed)


# ---- TOPReward


def listing(**logprobs: float) -> Reply:
    rows = tuple((name.replace("_", " "), value) for name, value in logprobs.items())
    return Reply(rows[0][0], False, tokens=(Token(*rows[0], rows),))


def test_the_log_probability_of_true_is_read() -> None:
    assert true_logprob(listing(False_=-0.1, True_=-3.0)) == (pytest.approx(-3.0), True)
    both, exact = true_logprob(listing(True_=math.log(0.25), _True=math.log(0.5)))
    assert exact and both == pytest.approx(math.log(0.75))
    assert true_logprob(listing(No=-0.1, no=-7.0)) == (-7.0, False)
    with pytest.raises(RemoteError, match="top_logprobs"):
        true_logprob(Reply("True", False))


def test_topreward_stretches_between_fixed_bounds(server: FakeServer) -> None:
    low, high = math.log(0.25), math.log(0.75)
    session = session_of("topreward", server, low=low, high=high)
    progress = [session.observe(bar_pair(share)).progress for share in (0.1, 0.25, 0.5, 0.75, 0.9)]
    assert progress == pytest.approx([0.0, 0.0, (math.log(0.5) - low) / (high - low), 1.0, 1.0], abs=0.01)
    assert server.asked[0].body["max_tokens"] == 1


def test_true_that_is_not_listed_counts_only_below_the_bound(server: FakeServer) -> None:
    other = [{"token": "No", "logprob": -0.1}, {"token": "no", "logprob": -3.0}]
    content = [{**other[0], "top_logprobs": other}]
    server.reply = _with_logprobs(server.reply, content)  # type: ignore[method-assign]
    assert session_of("topreward", server, low=-2.0, high=0.0).observe(bar_pair(0.5)).progress == 0.0
    reading = session_of("topreward", server, low=-9.0, high=0.0).observe(bar_pair(0.5))
    assert reading.status is Status.INVALID_HOP and "True among 20" in reading.text


def _with_logprobs(reply: Callable[[Asked], dict[str, Any]], content: list[Any]) -> Callable[[Asked], dict[str, Any]]:
    def changed(asked: Asked) -> dict[str, Any]:
        whole = reply(asked)
        whole["choices"][0]["logprobs"] = {"content": content}
        return whole

    return changed


def test_bounds_come_from_an_episode_that_succeeded(server: FakeServer) -> None:
    scorer = load("topreward", server).scorer  # type: ignore[attr-defined]
    low, high = scorer.bounds([bar_pair(share) for share in (0.25, 0.5, 0.75)], REFERENCES)
    assert (low, high) == (pytest.approx(math.log(0.25), abs=0.02), pytest.approx(math.log(0.75), abs=0.02))
    with pytest.raises(ModelError, match="differ"):
        scorer.bounds([bar_pair(0.5)] * 2, REFERENCES)
    server.logprobs = False
    with pytest.raises(ModelError, match="top_logprobs"):
        scorer.bounds([bar_pair(0.5)] * 2, REFERENCES)


def test_topreward_has_no_default_bounds(server: FakeServer) -> None:
    with pytest.raises(ConfigError, match="low, high"):
        load_reward_model("topreward", server.address, settings={"model": "topreward"})
    with pytest.raises(ConfigError, match="low below high"):
        load("topreward", server, low=-1.0, high=-1.0)


# ---- VLAC


@pytest.mark.parametrize(
    ("value", "critic", "expected"),
    [
        (0.0, 40.0, 40.0),
        (40.0, 50.0, 70.0),
        (40.0, -50.0, 20.0),
        (50.0, -100.0, 0.0),
        (80.0, -50.0, 60.0),  # the step up from 60 that 50 % would have been
        (80.0, -60.0, 50.0),
        (80.0, -100.0, 10.0),
        (90.0, -99.0, 10.0),
        (100.0, 0.0, 99.0),
        (30.0, 0.0, 30.0),
        (100.0, 100.0, 100.0),
    ],
)
def test_the_value_of_vlac(value: float, critic: float, expected: float) -> None:
    assert accumulate(value, critic) == pytest.approx(expected)


@given(st.floats(0.0, 100.0), st.floats(-100.0, 100.0))
def test_the_value_stays_in_range_and_follows_the_critic(value: float, critic: float) -> None:
    after = accumulate(value, critic)
    assert -1e-9 <= after <= 100.0 + 1e-9
    assert after >= value - 1e-9 if critic > 0 else after <= value + 1e-9


@given(st.floats(1.0, 49.0), st.floats(1.0, 99.0))
def test_a_step_back_above_the_middle_takes_back_the_step_up(value: float, critic: float) -> None:
    up = accumulate(value, critic)
    if up > 50.0 and up < 99.0:
        assert accumulate(up, -critic) == pytest.approx(max(10.0, value))


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply("<score>+12", True), 12.0),
        (Reply("<score>-40.5%</score>", True), -40.5),
        (Reply("-7", True, None), -7.0),  # the prompt opened the tag
        (Reply("12</score>", True), 12.0),
        (Reply("12", False), None),  # cut
        (Reply("<score>12", True, None), None),
        (Reply("about 12", True), None),
        (Reply("<score>120", True), None),
        (Reply("", True), None),
    ],
)
def test_answers_of_vlac(reply: Reply, expected: float | None) -> None:
    assert read_critic(reply) == expected


def test_vlac_compares_with_the_last_valid_sample(server: FakeServer) -> None:
    session = session_of("vlac", server)
    assert session.observe(bar_pair(0.2)).progress == 0.0 and not server.asked
    server.faults.append(Fault("content", text="?"))
    assert session.observe(bar_pair(0.4)).status is Status.INVALID_HOP
    reading = session.observe(bar_pair(0.6))
    assert [shares_of(asked) for asked in server.asked] == [[0.2, 0.41], [0.2, 0.59]]
    assert reading.hop[0] == pytest.approx(hop_of(0.2, 0.6), abs=0.02)
    assert math.isnan(reading.hop[1]) and math.isnan(reading.reading[2])
    assert reading.progress == reading.reading[0] == pytest.approx(reading.hop[0])


@pytest.mark.parametrize("camera", ["front", "wrist"])
@pytest.mark.parametrize("name", [*CLIPS, "vlac"])
def test_one_camera_is_shown(server: FakeServer, name: str, camera: str) -> None:
    session = session_of(name, server, camera=camera)
    for _ in range(2):
        session.observe(FramePair(bar_pair(0.2).front, bar_pair(0.7).wrist))
    assert set(shares_of(server.asked[-1])) == {0.2 if camera == "front" else 0.7}


@pytest.mark.parametrize("name", SERVED)
def test_an_image_that_cannot_be_read_is_no_question(server: FakeServer, name: str) -> None:
    session = session_of(name, server)
    junk = EncodedImage(1, "jpeg", b"junk", 1, 1)
    with pytest.raises(ImageError):
        session.observe(FramePair(junk, junk))
    assert not server.asked


@pytest.mark.parametrize("name", [*CLIPS, "vlac"])
def test_no_other_camera_stands_in_for_a_missing_one(server: FakeServer, name: str) -> None:
    session = session_of(name, server, camera="wrist")
    with pytest.raises(ImageError, match="wrist"):
        session.observe(FramePair(bar_pair(0.2).front, EncodedImage(0, "", b"", 0, 0)))


def test_the_rubric_may_be_the_published_one(server: FakeServer, tmp_path: Path) -> None:
    file = tmp_path / "rubric.txt"
    file.write_text("Something else about {task}")
    with pytest.raises(ModelError, match="sha256"):
        load("roboreward_remote", server, prompt="official", prompt_file=str(file))
