"""Named errors of the suite: each says what was expected, what came and what to do."""

from __future__ import annotations


class DopamineError(Exception):
    """Base of every error that the suite raises on purpose.

    :param expected: what a correct input looks like.
    :param got: what came instead.
    :param remedy: what the reader can do about it.
    """

    def __init__(self, *, expected: str, got: str, remedy: str) -> None:
        self.expected = expected
        self.got = got
        self.remedy = remedy
        super().__init__(f"expected {expected}, got {got}; {remedy}")


class ConfigError(DopamineError):
    """A parameter is missing, of the wrong type or out of range."""


class UnknownNameError(DopamineError):
    """A name is not registered; the message lists the known ones."""

    def __init__(self, *, kind: str, name: str, known: list[str]) -> None:
        super().__init__(
            expected=f"a known {kind} ({', '.join(sorted(known))})",
            got=repr(name),
            remedy=f"choose one of the listed names for {kind}",
        )


class MissingPackageError(DopamineError):
    """An optional package is not installed."""


class ImageError(DopamineError):
    """An image cannot be used: encoding, size, stamp or bytes are wrong."""


class FrameError(DopamineError):
    """Frames that a decision names are missing, too old or too far apart."""


class ModelError(DopamineError):
    """A reward model's weights or answers cannot be used."""


class WireError(DopamineError):
    """A request or reply of a remote reward model is malformed or too large."""


class DemonstrationError(DopamineError):
    """A demonstration is unusable for adaptation or training."""


class AdaptationCancelled(DopamineError):  # noqa: N818 not a fault: somebody asked for it
    """An adaptation was taken back before it was finished; nothing was written."""


class EpisodeError(DopamineError):
    """An episode operation is not allowed in the present state."""


class RecordingError(DopamineError):
    """A recording cannot be written, read or recovered."""


class LimitsError(DopamineError):
    """Required limits are missing or contradict each other."""


class KinematicsError(DopamineError):
    """A pose is unreachable or a robot description does not fit."""


class LearnerError(DopamineError):
    """Training data, checkpoint or settings cannot be used."""


class CellError(DopamineError):
    """The simulated cell cannot do what was asked."""


class GraphError(DopamineError):
    """A process of the graph died or a topic, service or action did not answer."""
