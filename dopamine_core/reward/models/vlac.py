"""VLAC: two frames go to a server, a signed percentage comes out, and a value that accumulates it is the progress.

Source: arXiv 2509.15937. The critic compares the last valid sample with the present one and answers c in percent. The
published value is a recursion over these answers alone, v(0) = 0 and

    c > 0:              v' = v + (100 - v) c / 100
    c <= 0, v <= 50:    v' = v + v c / 100
    c <= 0, v > 50:     v' = max(10, 100 - 100 max(100 - v, 1) / (100 + c))

the last of which takes back the step up that c would have been. It is neither the step of Eq. 4 of arXiv 2512.23703 nor
fused with anchored readings, hence a session of its own and no hop model. It depends on the whole history and nothing
corrects it: errors add up.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from dopamine_core.config import setting
from dopamine_core.errors import ModelError
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.grm.answer import CLOSE, OPEN
from dopamine_core.reward.remote.chat import Question, Reply
from dopamine_core.reward.remote.client import ChatClient
from dopamine_core.reward.remote.faults import RemoteError, shortened
from dopamine_core.reward.remote.identity import identity
from dopamine_core.reward.remote.images import DataUrl, data_url
from dopamine_core.reward.remote.prompts import prompt_of
from dopamine_core.reward.remote.scores import read_percent, with_end
from dopamine_core.reward.remote.settings import CLIENT, ServerConfig
from dopamine_core.reward.session import PROGRESS, References
from dopamine_core.reward.vlm.views import camera_image
from dopamine_core.types import CAMERAS, NAN3, FramePair, Reading, Status

_FULL, _HALF, _FLOOR, _LEAST_LEFT = 100.0, 50.0, 10.0, 1.0

_OWN = """\
Two moments of one robot at work. BEFORE: <image>
AFTER: <image>
The task: {task}

How far did the work come from BEFORE to AFTER? Answer one signed percentage: of what was left at BEFORE, how much is \
done at AFTER; less than zero when AFTER is further from the end than BEFORE; 0 when nothing that concerns the task \
changed.

Answer with one line and nothing else, for example <score>+12</score> or <score>-40</score>.
"""


@dataclass(frozen=True, kw_only=True)
class Config(ServerConfig):
    """The server, the prompt and the camera."""

    prompt_file: str = setting(
        "", doc="Text with the place {task} and twice <image>, BEFORE then AFTER; empty: our own words."
    )
    camera: str = setting("front", doc="Which camera's frames are shown.", choices=CAMERAS)
    max_tokens: int = setting(24, doc="Longest answer in tokens.", low=4, high=4096)
    success_threshold: float = setting(
        0.9, doc="Progress that counts as success; calibrate it on your own episodes.", low=0.01, high=1.0
    )


def load(config: Config, fusion: FusionConfig) -> Vlac:
    """Reach for the served model; a server is asked here only when ``model`` is empty. Nothing is fused.

    :raises ModelError: when the prompt cannot be read, or the server names no single model.
    """
    return Vlac(config)


class Vlac:
    """A RewardModel on a pairwise critic.

    :raises ConfigError: when the API key is not there.
    :raises ModelError: as ``load``.
    """

    success_signal = PROGRESS

    def __init__(self, config: Config) -> None:
        self._config = config
        self._prompt = prompt_of(_OWN, config.prompt_file, images=2)
        self.client = ChatClient(config)
        self.model_id = identity("vlac", config, self.client.model, self._prompt.sha256)
        self.fast = config.fast
        self.success_threshold = config.success_threshold

    def open(self, references: References) -> VlacSession:
        """Open a session for one episode. Goals are not shown.

        :raises ModelError: when task or goal are missing.
        """
        if not references.task.strip() or not references.goals:
            raise ModelError(
                expected="a task sentence and at least one goal pair",
                got=f"task {references.task!r} and {len(references.goals)} goals",
                remedy="set them with the reward/set_task service",
            )
        return VlacSession(self, references.task)

    def encode(self, pair: FramePair) -> DataUrl:
        """Turn one camera's image into what a question carries.

        :raises ImageError: when the camera's bytes are missing or cannot be decoded.
        """
        config = self._config
        limits = (config.min_pixels, config.max_pixels) if config.resize == CLIENT else (0, 0)
        return data_url(camera_image(pair, config.camera), *limits)

    def compare(self, task: str, before: DataUrl, after: DataUrl) -> Reply | RemoteError:
        """Ask how far the work came between two frames."""
        words = self._prompt.pieces(task)
        parts = (words[0], before, words[1], after, words[2])
        said = tuple(part for part in parts if part != "")
        return self.client.ask([Question(said, self._config.max_tokens, stop=(CLOSE,))])[0]

    def close(self) -> None:
        """Give the connections back; without it they go with the object."""
        self.client.close()


class VlacSession:
    """One episode's value."""

    def __init__(self, model: Vlac, task: str) -> None:
        self._model = model
        self._task = task
        self._before: DataUrl | None = None  # last valid sample
        self._value = 0.0  # percent
        self.last: Reading | None = None

    def observe(self, pair: FramePair) -> Reading:
        """Answer the next sample and advance the value; an answer that cannot be read leaves it.

        :raises ImageError: when the bytes cannot be decoded; nothing changes then.
        """
        reading, frame = self._read(pair)
        if reading.ok:
            self._before, self._value = frame, reading.progress * _FULL
        self.last = reading
        return reading

    def peek(self, pair: FramePair) -> Reading:
        """Answer as ``observe`` would, but leave the value where it is."""
        return self._read(pair)[0]

    def _read(self, pair: FramePair) -> tuple[Reading, DataUrl]:
        began_ns = time.perf_counter_ns()
        frame = self._model.encode(pair)
        if self._before is None:
            spent_ns = time.perf_counter_ns() - began_ns
            return Reading(Status.OK, progress=0.0, inference_ns=spent_ns), frame
        reply = self._model.compare(self._task, self._before, frame)
        return self._reading(reply, time.perf_counter_ns() - began_ns), frame

    def _reading(self, reply: Reply | RemoteError, spent_ns: int) -> Reading:
        held = self._value / _FULL
        if isinstance(reply, RemoteError):
            text = f"{type(reply).__name__}: {reply}"
            return Reading(Status.MODEL_ERROR, text, progress=held, inference_ns=spent_ns)
        critic = read_critic(reply)
        if critic is None:
            said = f"expected an answer like {OPEN}+12{CLOSE}, got {shortened(reply.text)}; the sample is not used"
            return Reading(Status.INVALID_HOP, said, progress=held, inference_ns=spent_ns)
        value = accumulate(self._value, critic) / _FULL
        return Reading(
            Status.OK,
            hop=(critic / _FULL, *NAN3[1:]),
            reading=(value, *NAN3[1:]),
            progress=value,
            inference_ns=spent_ns,
        )


def read_critic(reply: Reply) -> float | None:
    """Read an answer: a number between score tags, or nothing but a number where the prompt opened the tag itself.

    :returns: percent in [-100, 100]; None when there is none to read.
    """
    text = with_end(reply, CLOSE)
    _, opened, rest = text.rpartition(OPEN)
    inside, closed, _ = rest.partition(CLOSE)
    if opened and not closed:
        return None
    return read_percent(inside) if closed or reply.complete else None


def accumulate(value: float, critic: float) -> float:
    """Take one step of the published recursion.

    :param value: v in [0, 100].
    :param critic: c in [-100, 100].
    :returns: v' in [0, 100].
    """
    if critic > 0.0:
        return value + (_FULL - value) * critic / _FULL
    if value <= _HALF:
        return value + value * critic / _FULL
    left = max(_FULL - value, _LEAST_LEFT)
    return max(_FLOOR, _FULL - _FULL * left / (_FULL + critic)) if critic > -_FULL else _FLOOR
