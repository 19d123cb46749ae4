"""Raw observations go in, actions in [-1, 1] come out: the policy as the agent runs it, without torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
)

from dopamine_core.config import check, setting
from dopamine_core.errors import LearnerError
from dopamine_core.rl.action_space import ActionSpaceConfig

_UNREADABLE = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile, RuntimeError)


@dataclass(frozen=True)
class PolicyInfo:
    """What the policy was trained for; travels inside its ONNX file."""

    encoder_name: str
    encoder_sha256: str
    observation: (
        str  # description of the raw observation's columns, as ObservationBuilder.layout gives it
    )
    axes: tuple[str, ...]
    max_step_m: float
    max_step_rad: float
    gradient_steps: int = 0

    @property
    def action_space(self) -> ActionSpaceConfig:
        """Axes and scales of the action."""
        return ActionSpaceConfig(self.axes, self.max_step_m, self.max_step_rad)


@dataclass(frozen=True)
class ActingConfig:
    """How actions are drawn from the policy's distribution."""

    mode: str = setting(
        "sampled",
        doc="Greedy takes the mode; sampled draws with correlated noise, which practice needs to explore.",
        choices=("greedy", "sampled"),
    )
    correlation: float = setting(
        0.7,
        doc="Correlation of the noise from one decision to the next; 0 is white.",
        low=0.0,
        high=0.999,
    )
    noise_scale: float = setting(
        1.0, doc="Factor on the policy's standard deviation.", low=0.0, high=5.0
    )

    def __post_init__(self) -> None:
        check(self)


class OnnxPolicy:
    """A policy version; one object per episode owner, since sampled noise is correlated in time.

    :param data: ONNX bytes written by ``rl/export.py``.
    :param acting: greedy or sampled, and its noise.
    :param seed: of the noise.
    :raises LearnerError: when the bytes are not such a policy.
    """

    def __init__(self, data: bytes, acting: ActingConfig | None = None, seed: int = 0) -> None:
        self.acting = acting or ActingConfig()
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._session = _open(data)
        self.info = _read_info(self._session)
        self._rng = np.random.default_rng(seed)
        self._noise: NDArray[np.float64] | None = None  # (A,) standard normal, correlated in time

    @classmethod
    def from_bytes(
        cls, data: bytes, acting: ActingConfig | None = None, seed: int = 0
    ) -> OnnxPolicy:
        """Load a policy from bytes, as ``PolicyWeights.data`` carries them."""
        return cls(data, acting, seed)

    @property
    def observation_size(self) -> int:
        """Size O of a raw observation."""
        return int(self._session.get_inputs()[0].shape[1])

    def require_encoder(self, sha256: str) -> None:
        """Refuse a policy that was trained on another encoder.

        :raises LearnerError: when the hashes differ.
        """
        if sha256 != self.info.encoder_sha256:
            raise LearnerError(
                expected=f"encoder {self.info.encoder_name} {self.info.encoder_sha256[:12]}",
                got=sha256[:12],
                remedy="load the encoder that the policy was trained on, or train again",
            )

    def require_layout(self, layout: str) -> None:
        """Refuse a policy that was trained on other observations.

        :param layout: of the agent's ``ObservationBuilder``.
        :raises LearnerError: when the layouts differ.
        """
        if layout != self.info.observation:
            raise LearnerError(
                expected=f"observations '{self.info.observation}'",
                got=f"'{layout}'",
                remedy="give agent and learner the same observation settings",
            )

    def begin_episode(self, seed: int | None = None) -> None:
        """Forget the noise of the last episode; with a seed, start the noise there."""
        self._noise = None
        if seed is not None:
            self._rng = np.random.default_rng(seed)

    def distribution(
        self, observation: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean before the squashing and standard deviation, (A,) each.

        :raises LearnerError: on a wrong size or a non-finite value.
        """
        if observation.shape != (self.observation_size,) or not np.isfinite(observation).all():
            raise LearnerError(
                expected=f"a finite observation of size {self.observation_size}",
                got=f"{observation.shape}, finite: {bool(np.isfinite(observation).all())}",
                remedy="check that encoder, axes and observation settings equal the learner's",
            )
        mean, log_std = self._session.run(
            None, {"observation": observation[None].astype(np.float32)}
        )
        return mean[0], np.exp(log_std[0])

    def act(
        self, observation: NDArray[np.float32], greedy: bool | None = None
    ) -> NDArray[np.float32]:
        """Choose an action.

        :param observation: (O,) raw observation.
        :param greedy: overrides the declared mode, for evaluation.
        :returns: (A,) in [-1, 1].
        """
        mean, deviation = self.distribution(observation)
        if greedy if greedy is not None else self.acting.mode == "greedy":
            return np.tanh(mean)
        noise = self._next_noise(len(mean))
        return np.tanh(mean + self.acting.noise_scale * deviation * noise).astype(np.float32)

    def _next_noise(self, size: int) -> NDArray[np.float64]:
        """First-order autoregressive noise of unit variance: spread like white noise, but it explores further."""
        fresh = self._rng.standard_normal(size)
        rho = self.acting.correlation
        self._noise = (
            fresh if self._noise is None else rho * self._noise + np.sqrt(1 - rho**2) * fresh
        )
        return self._noise


def _open(data: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except _UNREADABLE as error:
        raise LearnerError(
            expected="a policy in ONNX",
            got=f"{len(data)} bytes that do not load",
            remedy="publish it again",
        ) from error


def _read_info(session: onnxruntime.InferenceSession) -> PolicyInfo:
    meta = session.get_modelmeta().custom_metadata_map
    try:
        return PolicyInfo(
            encoder_name=meta["encoder_name"],
            encoder_sha256=meta["encoder_sha256"],
            observation=meta["observation"],
            axes=tuple(meta["axes"].split(",")),
            max_step_m=float(meta["max_step_m"]),
            max_step_rad=float(meta["max_step_rad"]),
            gradient_steps=int(meta["gradient_steps"]),
        )
    except (KeyError, ValueError) as error:
        raise LearnerError(
            expected="the metadata of a policy written by this suite",
            got=f"{error!r} missing or wrong",
            remedy="export the policy with rl/export.py",
        ) from error
