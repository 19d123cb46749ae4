"""A tiny nano model beside the tiny checkpoints."""

from tests.core.reward.conftest import tiny_nano

__all__ = ["tiny_nano"]
