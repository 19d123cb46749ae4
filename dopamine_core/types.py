"""Values that travel between rooms: stamped, frozen, with units in their names."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

CAMERAS = ("front", "wrist")
ACTION_AXES = ("x", "y", "z", "rx", "ry", "rz", "gripper")
NAN3 = (float("nan"), float("nan"), float("nan"))


class Status(enum.IntEnum):
    """Why a reading is what it is; values equal ``dopamine_msgs/RewardStatus``."""

    OK = 0
    INVALID_HOP = 1
    NO_TASK = 2
    MISSING_FRAME = 3
    SKEW = 4
    STALE = 5
    BAD_IMAGE = 6
    MODEL_ERROR = 7


class EpisodeKind(enum.IntEnum):
    """What an episode is recorded for; values equal ``dopamine_msgs/Episode``."""

    NONE = 0
    DEMONSTRATION = 1
    ROLLOUT = 2
    EVALUATION = 3


class EpisodeState(enum.IntEnum):
    """Where the episode stands."""

    IDLE = 0
    OPEN = 1
    CLOSED = 2


class Outcome(enum.IntEnum):
    """How an episode ended; values equal ``dopamine_msgs/Episode``."""

    UNKNOWN = 0
    SUCCESS = 1
    FAILURE = 2
    TIME_LIMIT = 3
    STOP = 4
    SAFETY_ABORT = 5
    CAMERA_LOSS = 6
    DISCARDED = 7

    @property
    def terminates(self) -> bool:
        """Success and operator-declared failure are true terminals; the rest truncate."""
        return self in (Outcome.SUCCESS, Outcome.FAILURE)


class OutcomeSource(enum.IntEnum):
    """Who said so; values equal ``dopamine_msgs/Episode``."""

    NONE = 0
    REWARD_NODE = 1
    OPERATOR = 2
    TIMER = 3
    SAFETY = 4


class CommandSource(enum.IntEnum):
    """Who moves the arm in a tick, in rising priority; values equal ``dopamine_msgs/Command``."""

    NONE = 0
    HOLD = 1
    POLICY = 2
    RESET = 3
    HUMAN = 4
    STOP = 5


class LimitReason(enum.IntFlag):
    """Why the executed command differs from the proposed one; values equal ``dopamine_msgs/Command``."""

    NONE = 0
    WORKSPACE = 1
    JOINT_POSITION = 2
    JOINT_VELOCITY = 4
    STEP = 8
    NON_FINITE = 16
    UNREACHABLE = 32
    STALE_POLICY = 64
    STALE_JOINT_STATES = 128
    STALE_IMAGES = 256
    STOPPED = 512
    TAKEN_OVER = 1024


class ResetState(enum.IntEnum):
    """How the last requested reset motion stands; values equal ``dopamine_msgs/Command``."""

    NONE = 0
    ACTIVE = 1
    DONE = 2
    FAILED = 3


class DecisionOwner(enum.IntEnum):
    """Who fixes decisions."""

    AGENT = 0
    DEMO = 1


@dataclass(frozen=True)
class EncodedImage:
    """One camera frame, encoded once (JPEG or PNG bytes) with the stamp the camera gave."""

    stamp_ns: int
    format: str  # "jpeg" | "png"
    data: bytes
    width: int
    height: int


@dataclass(frozen=True)
class FramePair:
    """A synchronised pair of encoded frames."""

    front: EncodedImage
    wrist: EncodedImage

    @property
    def stamp_ns(self) -> int:
        """Stamp of the newer frame."""
        return max(self.front.stamp_ns, self.wrist.stamp_ns)

    @property
    def skew_ns(self) -> int:
        """Time between the two frames."""
        return abs(self.front.stamp_ns - self.wrist.stamp_ns)

    @property
    def key(self) -> tuple[int, int]:
        """(front stamp, wrist stamp): how a decision names the pair."""
        return self.front.stamp_ns, self.wrist.stamp_ns


@dataclass(frozen=True)
class JointSample:
    """Joint states by name; velocity may be absent."""

    stamp_ns: int
    names: tuple[str, ...]
    position: NDArray[np.float64]  # (J,) rad or m
    velocity: NDArray[np.float64] | None = None  # (J,) rad/s or m/s


@dataclass(frozen=True)
class Decision:
    """One decision: when, looking at which frames and joints, in which episode."""

    stamp_ns: int
    episode_id: str
    index: int
    owner: DecisionOwner
    front_stamp_ns: int
    wrist_stamp_ns: int
    joint_stamp_ns: int
    policy_version: int = 0

    @property
    def frames_key(self) -> tuple[int, int]:
        """Key of the frame pair looked at."""
        return self.front_stamp_ns, self.wrist_stamp_ns


@dataclass(frozen=True)
class ModelId:
    """Which model answered; hash covers weights, adaptation and prompt."""

    name: str
    sha256: str
    adapted: bool = False


@dataclass(frozen=True)
class Reading:
    """One answer of the reward model at one frame pair, before it is tied to a decision.

    Hops and readings are ordered incremental, forward-anchored, backward-anchored.
    """

    status: Status
    text: str = ""
    hop: tuple[float, float, float] = NAN3  # each in [-1, 1]
    reading: tuple[float, float, float] = NAN3  # each in [0, 1]
    consistency: float = float("nan")
    progress: float = float("nan")  # fused Phi* in [0, 1]; held when not OK
    uncertainty: float = float("nan")
    success_probability: float = float("nan")  # in [0, 1]; NaN when the model gives none
    inference_ns: int = 0

    @property
    def ok(self) -> bool:
        """Whether the numbers may be used."""
        return self.status is Status.OK


@dataclass(frozen=True)
class Potential:
    """Label lane: the final answer for one decision."""

    decision_stamp_ns: int
    episode_id: str
    index: int
    reading: Reading
    potential: float  # Phi used by shaping; NaN when the reading is not OK
    success: bool
    model: ModelId


@dataclass(frozen=True)
class PolicyAction:
    """What the policy asks for at one decision."""

    decision_stamp_ns: int
    episode_id: str
    index: int
    displacement: NDArray[np.float64]  # (6,) m and rad, over one period, in base_link
    gripper: float  # 0 open ... 1 closed
    period_ns: int
    policy_version: int = 0


@dataclass(frozen=True)
class CommandRecord:
    """One tick of the command path: who, what was asked, what was executed, why they differ."""

    stamp_ns: int
    source: CommandSource
    decision_stamp_ns: int  # 0 unless a policy action is executed
    proposed: NDArray[np.float64]  # (6,) m and rad in this tick
    executed: NDArray[np.float64]  # (6,)
    gripper_proposed: float
    gripper_executed: float
    joint_names: tuple[str, ...] = ()
    joint_positions: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))  # (J,) or empty
    reasons: LimitReason = LimitReason.NONE
    text: str = ""
    reset_state: ResetState = ResetState.NONE
    reset_stamp_ns: int = 0  # stamp of the reset request that reset_state speaks of


    @property
    def stopped(self) -> bool:
        """Whether the stop is latched, also while the arm cannot be measured and nothing is sent."""
        return self.source is CommandSource.STOP or LimitReason.STOPPED in self.reasons


@dataclass(frozen=True)
class EpisodeInfo:
    """State of an episode as its authority publishes it."""

    episode_id: str
    state: EpisodeState
    kind: EpisodeKind
    task: str
    stamp_ns: int
    start_ns: int
    end_ns: int = 0
    outcome: Outcome = Outcome.UNKNOWN
    outcome_source: OutcomeSource = OutcomeSource.NONE
    success_ns: int = 0
    kept: bool = False
    takeovers: int = 0
    bag_path: str = ""
    text: str = ""

    @property
    def terminated(self) -> bool:
        """True terminal: success or operator-declared failure."""
        return self.state is EpisodeState.CLOSED and self.outcome.terminates

    @property
    def truncated(self) -> bool:
        """Closed without a true terminal."""
        return self.state is EpisodeState.CLOSED and not self.outcome.terminates
