"""Decisions and actions on a hand-made clock."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dopamine_core.control.kinematics import Kinematics
from dopamine_core.errors import ConfigError, LearnerError
from dopamine_core.frames.codec import encode
from dopamine_core.rl.decision_maker import DecisionConfig, DecisionMaker
from dopamine_core.rl.encoder import FrozenEncoder
from dopamine_core.rl.observation import ObservationBuilder, ObservationConfig
from dopamine_core.rl.policy import ActingConfig, OnnxPolicy
from dopamine_core.rl.remembering_encoder import RememberingEncoder
from dopamine_core.types import (
    CommandRecord,
    CommandSource,
    Decision,
    DecisionOwner,
    EncodedImage,
    EpisodeInfo,
    EpisodeKind,
    EpisodeState,
    FramePair,
    JointSample,
    ModelId,
    Outcome,
    PolicyAction,
    Potential,
    Reading,
    Status,
)
from tests.core.control.lagging_arm import home_of
from tests.core.rl.constant_policy import STEP_M, constant_policy, mean_colour_encoder

MS = 1_000_000
START = 5_000 * MS
UNIT = np.array([0.5, -0.25, 0.0])
KINEMATICS = Kinematics()
HOME = home_of(KINEMATICS)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> FrozenEncoder:
    path: Path = tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    path.write_bytes(mean_colour_encoder())
    return FrozenEncoder(path, name="colour")


class Bench:
    """A decision maker with a policy, fresh sensors and an open rollout."""

    def __init__(self, encoder: FrozenEncoder, **config: object) -> None:
        self.encoder = RememberingEncoder(encoder)
        self.builder = ObservationBuilder(self.encoder, KINEMATICS, ObservationConfig())
        self.maker = DecisionMaker(DecisionConfig(**config), self.builder)  # type: ignore[arg-type]
        self.now = START

    def with_policy(self, unit: np.ndarray = UNIT, version: int = 1, **changes: object) -> Bench:
        data = constant_policy(self.builder, unit, **changes)  # type: ignore[arg-type]
        self.maker.on_policy(OnnxPolicy(data, ActingConfig(mode="sampled")), version)
        return self

    def sense(self) -> None:
        image = encode(np.full((24, 32, 3), 100, np.uint8), self.now - 10 * MS)
        self.maker.on_pair(FramePair(image, dataclasses.replace(image, stamp_ns=self.now - 8 * MS)))
        names = (*KINEMATICS.joint_names, "finger_joint")
        self.maker.on_joints(JointSample(self.now - MS, names, np.array([*HOME, 0.01])))
        self.command(self.now - 2 * MS)

    def command(self, stamp: int, gripper: float = 1.0) -> None:
        still = np.zeros(6)
        record = CommandRecord(
            stamp, CommandSource.HOLD, 0, still, still, gripper, gripper, (), HOME
        )
        self.maker.on_command(record)

    def open(self, episode_id: str = "e", kind: EpisodeKind = EpisodeKind.ROLLOUT) -> None:
        self.maker.on_episode(
            EpisodeInfo(episode_id, EpisodeState.OPEN, kind, "task", self.now, self.now)
        )

    def close(self, episode_id: str = "e") -> None:
        self.maker.on_episode(
            EpisodeInfo(
                episode_id,
                EpisodeState.CLOSED,
                EpisodeKind.ROLLOUT,
                "task",
                self.now,
                0,
                outcome=Outcome.SUCCESS,
            )
        )

    def decide(self) -> Decision | None:
        self.sense()
        decision = self.maker.decide(self.now)
        if self.maker.pending:
            self.encoder.look(self.maker.pending.pair)
        return decision

    def answer(self, decision: Decision, reading: Reading | None = None) -> None:
        reading = reading or Reading(Status.OK, progress=0.3)
        phi = 0.3 if reading.ok else float("nan")
        model = ModelId("fake", "00")
        self.maker.on_potential(
            Potential(
                decision.stamp_ns, decision.episode_id, decision.index, reading, phi, False, model
            )
        )

    def step(self) -> PolicyAction | None:
        """One whole period: decide, answer, act at the release time."""
        decision = self.decide()
        if decision:
            self.answer(decision)
        action = self.maker.act(self.now + 60 * MS)
        self.now += 100 * MS
        return action


@pytest.fixture
def bench(encoder: FrozenEncoder) -> Bench:
    return Bench(encoder).with_policy()


def test_a_decision_names_what_was_looked_at_and_its_action_follows(bench: Bench) -> None:
    bench.open()
    decision = bench.decide()
    assert decision == Decision(
        START,
        "e",
        0,
        DecisionOwner.AGENT,
        START - 10 * MS,
        START - 8 * MS,
        START - MS,
        policy_version=1,
    )
    bench.answer(decision)
    action = bench.maker.act(START + 60 * MS)
    assert action is not None
    np.testing.assert_allclose(action.displacement, [*(UNIT * STEP_M), 0, 0, 0], atol=1e-6)
    assert (action.decision_stamp_ns, action.index, action.period_ns) == (START, 0, 100 * MS)
    assert (action.gripper, action.policy_version, action.episode_id) == (1.0, 1, "e")
    assert bench.maker.pending is None


def test_indices_count_from_zero_in_every_episode(bench: Bench) -> None:
    for episode_id in ("a", "b"):
        bench.open(episode_id)
        actions = [bench.step() for _ in range(5)]
        assert [action.index for action in actions if action] == [0, 1, 2, 3, 4]
        bench.close(episode_id)
    assert bench.maker.counts["actions"] == 10
    error = bench.maker.decision_period.error()
    assert (
        error is not None and error.worst == 0.0 and error.intervals == 8
    )  # the gap between episodes is none


@pytest.mark.parametrize("kind", [EpisodeKind.NONE, EpisodeKind.DEMONSTRATION])
def test_it_does_not_decide_in_others_episodes(bench: Bench, kind: EpisodeKind) -> None:
    assert bench.decide() is None
    bench.open(kind=kind)
    assert bench.decide() is None and not bench.maker.busy


def test_without_a_policy_there_are_decisions_but_no_actions(encoder: FrozenEncoder) -> None:
    bench = Bench(encoder)
    bench.open()
    assert bench.step() is None
    assert "no policy yet" in bench.maker.problem
    assert (
        bench.maker.counts["decisions"] == 1 and bench.maker.counts["decisions without action"] == 1
    )


def test_no_potential_until_the_deadline_means_no_action(bench: Bench) -> None:
    bench.open()
    decision = bench.decide()
    assert decision is not None
    assert bench.maker.act(START + 60 * MS) is None and bench.maker.pending
    assert bench.maker.act(START + 90 * MS) is None and not bench.maker.pending
    assert "no potential" in bench.maker.problem
    bench.answer(decision)  # too late
    assert bench.maker.act(START + 95 * MS) is None
    bench.now += 100 * MS
    assert bench.step() is not None  # and it goes on
    assert bench.maker.problem == ""


def test_a_late_potential_still_counts_before_the_deadline_and_is_counted_as_late(
    bench: Bench,
) -> None:
    bench.open()
    decision = bench.decide()
    assert decision is not None and bench.maker.act(START + 60 * MS) is None
    bench.answer(decision)
    assert bench.maker.act(START + 75 * MS) is not None
    assert bench.maker.counts["late actions"] == 1


def test_a_missing_hop_is_never_taken_for_zero(bench: Bench) -> None:
    bench.open()
    decision = bench.decide()
    assert decision is not None
    bench.answer(decision, Reading(Status.INVALID_HOP, "no hop in the answer"))
    assert bench.maker.act(START + 60 * MS) is None
    assert "no hop in the answer" in bench.maker.problem


def test_anothers_potential_is_not_taken(bench: Bench) -> None:
    bench.open()
    decision = bench.decide()
    assert decision is not None
    bench.answer(dataclasses.replace(decision, stamp_ns=decision.stamp_ns - 100 * MS))
    assert bench.maker.act(START + 60 * MS) is None


def test_unfinished_features_are_waited_for(bench: Bench) -> None:
    bench.open()
    bench.sense()
    decision = bench.maker.decide(START)
    assert decision is not None and bench.maker.pending is not None
    bench.answer(decision)
    assert bench.maker.act(START + 60 * MS) is None and bench.maker.pending
    bench.encoder.look(bench.maker.pending.pair)
    assert bench.maker.act(START + 65 * MS) is not None


def test_a_broken_image_gives_no_action_and_no_crash(bench: Bench) -> None:
    bench.open()
    bench.sense()
    broken = EncodedImage(START - MS, "jpeg", b"\xff\xd8 nothing", 32, 24)
    bench.maker.on_pair(FramePair(broken, broken))
    decision = bench.maker.decide(START)
    assert decision is not None and bench.maker.pending is not None
    bench.encoder.look(bench.maker.pending.pair)
    bench.answer(decision)
    assert bench.maker.act(START + 60 * MS) is None
    assert bench.maker.counts["decisions without action"] == 1 and bench.maker.problem


def test_an_unknown_gripper_level_gives_no_action(bench: Bench) -> None:
    bench.open()
    decision = bench.decide()
    assert decision is not None
    bench.answer(decision)
    bench.command(START + 10 * MS, gripper=float("nan"))
    assert bench.maker.act(START + 60 * MS) is None
    assert "gripper" in bench.maker.problem


def test_stale_sensors_make_no_decision(bench: Bench) -> None:
    bench.open()
    bench.sense()
    for age_ms, word in ((150, ""), (250, "camera pair"), (250, "camera pair")):
        decision = bench.maker.decide(START + age_ms * MS)
        assert (decision is None) == bool(word)
        assert word in bench.maker.problem
    assert bench.maker.counts["decisions not made"] == 2


@pytest.mark.parametrize("positions", [[], [0.0] * 3, [np.nan] * 7])
def test_broken_joint_states_make_no_action_and_no_crash(
    bench: Bench, positions: list[float]
) -> None:
    bench.open()
    bench.sense()
    names = (*KINEMATICS.joint_names, "finger_joint")
    bench.now += 250 * MS
    bench.maker.on_joints(JointSample(bench.now, names, np.array(positions)))
    image = encode(np.full((24, 32, 3), 100, np.uint8), bench.now)
    bench.maker.on_pair(FramePair(image, image))
    decision = bench.maker.decide(bench.now)
    if decision:
        bench.encoder.look(bench.maker.pending.pair)
        bench.answer(decision)
    assert bench.maker.act(bench.now + 60 * MS) is None
    assert bench.maker.problem


def test_nothing_to_look_at_is_said(encoder: FrozenEncoder) -> None:
    bench = Bench(encoder).with_policy()
    bench.open()
    assert bench.maker.decide(START) is None and "camera pair" in bench.maker.problem


def test_weights_are_swapped_between_episodes_only(bench: Bench) -> None:
    bench.open("a")
    assert bench.step().policy_version == 1
    bench.with_policy(-UNIT, version=2)
    action = bench.step()
    assert action.policy_version == 1 and action.displacement[0] > 0
    bench.close("a")
    bench.open("b")
    action = bench.step()
    assert action.policy_version == 2 and action.displacement[0] < 0


def test_a_policy_for_another_observation_is_refused(bench: Bench) -> None:
    other = ObservationBuilder(
        bench.encoder, KINEMATICS, ObservationConfig(proprioception=("height",))
    )
    with pytest.raises(LearnerError, match="observation"):
        bench.maker.on_policy(OnnxPolicy(constant_policy(other, UNIT)), 2)
    assert bench.maker.version == 1


def test_closing_an_episode_drops_its_pending_action(bench: Bench) -> None:
    bench.open()
    decision = bench.decide()
    assert decision is not None
    bench.answer(decision)
    bench.close()
    assert bench.maker.act(START + 60 * MS) is None


def test_exploration_only_in_rollouts_and_another_noise_in_each(encoder: FrozenEncoder) -> None:
    def first_actions(kind: EpisodeKind, mode: str = "greedy") -> list[np.ndarray]:
        bench = Bench(encoder, evaluation_mode=mode).with_policy(log_std=-1.0)
        actions = []
        for name in "ab":
            bench.open(name, kind)
            actions.append(bench.step().displacement)
            bench.close(name)
        return actions

    greedy = first_actions(EpisodeKind.EVALUATION)
    np.testing.assert_allclose(greedy, [[*(UNIT * STEP_M), 0, 0, 0]] * 2, atol=1e-6)
    noisy = first_actions(EpisodeKind.ROLLOUT)
    assert not np.allclose(noisy[0], noisy[1]) and not np.allclose(noisy[0], greedy[0])
    np.testing.assert_array_equal(
        noisy, first_actions(EpisodeKind.ROLLOUT)
    )  # the same seed, the same noise
    assert not np.allclose(first_actions(EpisodeKind.EVALUATION, "sampled")[0], greedy[0])


def test_timing_that_contradicts_is_refused() -> None:
    with pytest.raises(ConfigError):
        DecisionConfig(release_s=0.08, deadline_s=0.07)
    with pytest.raises(ConfigError):
        DecisionConfig(deadline_s=0.2)
