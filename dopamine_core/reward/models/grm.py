"""General Reward Model in process: Robo-Dopamine's GRM on Qwen2.5-VL or Qwen3-VL, by transformers.

``path`` is a checkpoint folder, a hub id, or the folder of an adaptation. The answer is read as the expectation over
all score strings in one pass (default), or written greedily and parsed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from dopamine_core.config import check, from_mapping, setting
from dopamine_core.errors import ConfigError, ModelError
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.grm.adapted import (
    Adaptation,
    apply_adapter,
    is_adaptation,
    read_adaptation,
)
from dopamine_core.reward.grm.answer import read_hop
from dopamine_core.reward.grm.engine import Engine, Query, SeenImage
from dopamine_core.reward.grm.prompt import GrmPrompt, own_prompt, read_prompt
from dopamine_core.reward.grm.views import three_views
from dopamine_core.reward.pairwise import PairwiseModel, PairwiseSession
from dopamine_core.reward.session import HopAnswer, HopQuery, References
from dopamine_core.reward.vlm.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint
from dopamine_core.types import FramePair, ModelId, Status

MODEL_TYPES = ("qwen2_5_vl", "qwen3_vl")
PUBLISHED = "tanhuajie2001/Robo-Dopamine-GRM-2.0-4B-Preview"
EXPECTED, WRITTEN = "expected", "written"
OWN, OFFICIAL, FILE = "own", "official", "file"
_SHOWN = 80  # characters of an answer that a status repeats


@dataclass(frozen=True)
class Config(CheckpointConfig):
    """Which GRM, with which prompt, read how."""

    path: str = setting(PUBLISHED, doc="Checkpoint folder, hub id, or adaptation folder.")
    prompt: str = setting(
        OWN,
        doc="own: this project's; official: the published one, from prompt_file; file: any other, from prompt_file.",
        choices=(OWN, OFFICIAL, FILE),
    )
    prompt_file: str = setting(
        "", doc="Text file, or the official repository's examples/inference.py."
    )
    reading: str = setting(
        EXPECTED,
        doc="expected: mean over all score strings, in one pass; written: the answer, greedily.",
        choices=(EXPECTED, WRITTEN),
    )
    min_mass: float = setting(
        0.5,
        doc="Probability that must lie on score strings for an expected reading; below, the answer is invalid.",
        low=0.0,
        high=1.0,
    )
    max_tokens: int = setting(24, doc="Tokens of a written answer.", low=8, high=1024)
    success_threshold: float = setting(
        0.95, doc="Progress that counts as success: 1 - delta of the paper.", low=0.01, high=1.0
    )
    fast: bool = setting(
        False,
        doc="The machine answers within one decision: shape with fused progress, which the policy then sees.",
    )

    def __post_init__(self) -> None:
        check(self)
        if self.prompt != OWN and not self.prompt_file:
            raise ConfigError(
                expected=f"prompt_file with prompt: {self.prompt}",
                got="none",
                remedy="name examples/inference.py of a checkout of the official repository, or a text file",
            )


def load(config: Config, fusion: FusionConfig) -> PairwiseModel:
    """Load a GRM.

    :raises ModelError: when checkpoint, prompt or adaptation cannot be used, or memory does not suffice.
    """
    return GrmModel(load_hop_model(config), fusion)


def load_hop_model(config: Config) -> GrmHopModel:
    """Load the pairwise back end alone; see ``load``."""
    if not is_adaptation(config.path):
        checkpoint = load_checkpoint(config, MODEL_TYPES)
        return GrmHopModel(checkpoint, choose_prompt(config), config)
    adaptation = read_adaptation(config.path)
    config = settings_of(adaptation, config)
    prompt = choose_prompt(config)
    if prompt.sha256 != adaptation.prompt_sha256:
        raise ModelError(
            expected=f"the prompt {adaptation.prompt_name!r} that was adapted, {adaptation.prompt_sha256}",
            got=f"{prompt.name!r}, {prompt.sha256}",
            remedy="name the file of that prompt, or adapt the model with this one",
        )
    checkpoint = load_checkpoint(config, MODEL_TYPES)
    base_sha256 = checkpoint.files.sha256()  # before the adapter is merged
    apply_adapter(checkpoint, adaptation, base_sha256)
    return GrmHopModel(checkpoint, prompt, config, adaptation.sha256)


def settings_of(adaptation: Adaptation, given: Config) -> Config:
    """Return the settings that an adaptation was made with; given ones that are no defaults win.

    :raises ConfigError: when the recorded ones are of another version.
    """
    defaults = Config()
    changed = {
        name: value
        for name, value in asdict(given).items()
        if name != "path" and value != getattr(defaults, name)
    }
    recorded = {
        **adaptation.settings,
        "path": adaptation.base_path,
        "revision": adaptation.base_revision,
        "success_threshold": adaptation.success_threshold,
    }
    return from_mapping(Config, {**recorded, **changed})


def choose_prompt(config: Config) -> GrmPrompt:
    """Return the prompt that the settings ask for.

    :raises ModelError: when its file cannot be read or is not what it should be.
    """
    if config.prompt == OWN:
        return own_prompt()
    return read_prompt(config.prompt_file, official=config.prompt == OFFICIAL)


class GrmModel(PairwiseModel):
    """The reward model; a task that cannot be asked is refused when the episode opens."""

    def __init__(self, hop_model: GrmHopModel, fusion: FusionConfig) -> None:
        super().__init__(hop_model, fusion)
        self._grm = hop_model

    def open(self, references: References) -> PairwiseSession:
        """Open a session for one episode.

        :raises ModelError: when task or goal are missing, or the task holds control tokens.
        :raises ImageError: when a reference image cannot be decoded.
        """
        self._grm.check_task(references.task)
        return super().open(references)


@dataclass(frozen=True)
class SeenPair:
    """A frame pair after the vision tower: front, left wrist, right wrist."""

    views: tuple[SeenImage, SeenImage, SeenImage]


class GrmHopModel:
    """The pairwise back end.

    :param checkpoint: loaded weights.
    :param prompt: words around the images.
    :param config: how answers are read.
    :param adaptation_sha256: of the adapter merged into the weights; empty without one.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompt: GrmPrompt,
        config: Config,
        adaptation_sha256: str = "",
    ) -> None:
        self._checkpoint = checkpoint
        self._engine = Engine(checkpoint, prompt)
        self._config = config
        self.fast = config.fast
        self.success_threshold = config.success_threshold
        self.licence = checkpoint.files.licence
        parts = (
            checkpoint.files.sha256(),
            adaptation_sha256,
            prompt.sha256,
            *(config.reading, config.dtype, config.quantisation),
            *(str(config.min_pixels), str(config.max_pixels)),
        )
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        self.model_id = ModelId(f"grm+{prompt.name}", digest, bool(adaptation_sha256))

    def check_task(self, task: str) -> None:
        """Check that a task can be asked.

        :raises ModelError: when it holds control tokens.
        """
        self._engine.words(task)

    def encode(self, pair: FramePair) -> SeenPair:
        """Let the vision tower look at a pair, once.

        :raises ImageError: when the front image is missing or bytes cannot be decoded.
        """
        front, left, right = self._engine.see(three_views(pair))
        return SeenPair((front, left, right))

    def hops(self, queries: Sequence[HopQuery]) -> list[HopAnswer]:
        """Answer a batch of queries in one pass, one answer each, in order."""
        if not queries:
            return []
        asked = [
            Query(q.task, (q.start.views[0], q.goal.views[0], *q.before.views, *q.after.views))
            for q in queries
        ]
        return self._expect(asked) if self._config.reading == EXPECTED else self._write(asked)

    def _expect(self, queries: Sequence[Query]) -> list[HopAnswer]:
        made = self._engine.expect(queries)
        rows = zip(made.hop.tolist(), made.variance.tolist(), made.mass.tolist(), strict=True)
        return [self._weighed(hop, variance, mass) for hop, variance, mass in rows]

    def _weighed(self, hop: float, variance: float, mass: float) -> HopAnswer:
        if not (mass >= self._config.min_mass and math.isfinite(hop)):
            return HopAnswer(
                Status.INVALID_HOP,
                text=f"expected a score as the answer, got one with probability {mass:.3f} only",
            )
        return HopAnswer(Status.OK, min(1.0, max(-1.0, hop)), math.sqrt(max(0.0, variance)))

    def _write(self, queries: Sequence[Query]) -> list[HopAnswer]:
        written = self._engine.write(queries, self._config.max_tokens)
        tokenizer = self._checkpoint.tokenizer
        texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in written]
        return [_parsed(text) for text in texts]


def _parsed(text: str) -> HopAnswer:
    hop = read_hop(text)
    if hop is None:
        return HopAnswer(
            Status.INVALID_HOP, text=f"expected <score>+NN.N%</score>, got {text[:_SHOWN]!r}"
        )
    return HopAnswer(Status.OK, hop)


