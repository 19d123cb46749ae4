"""A name and a path come in, a reward model goes out; back ends are imported when asked for."""

from __future__ import annotations

from collections.abc import Callable

from dopamine_core.errors import UnknownNameError
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.pairwise import PairwiseModel
from dopamine_core.reward.session import RewardModel

Factory = Callable[[str, FusionConfig], RewardModel]


def _nano(path: str, fusion: FusionConfig) -> RewardModel:
    from dopamine_core.reward.models.nano import NanoHopModel  # onnxruntime only when needed

    return PairwiseModel(NanoHopModel(path or None), fusion)


_FACTORIES: dict[str, Factory] = {"nano": _nano}


def register_reward_model(name: str, factory: Factory) -> None:
    """Add a back end under a name; the last one registered wins.

    :param factory: takes the weights path (empty: the shipped ones) and the fusion settings.
    """
    _FACTORIES[name] = factory


def known_reward_models() -> list[str]:
    """List the registered names."""
    return sorted(_FACTORIES)


def load_reward_model(name: str, path: str = "", fusion: FusionConfig | None = None) -> RewardModel:
    """Load a reward model by name.

    :param name: registered name, e.g. ``"nano"``.
    :param path: weights or adaptation folder; empty takes the shipped weights.
    :param fusion: how readings are fused; the defaults when left out.
    :raises UnknownNameError: when the name is not registered.
    :raises ModelError: when the weights are missing or corrupt.
    """
    if name not in _FACTORIES:
        raise UnknownNameError(kind="reward model", name=name, known=known_reward_models())
    return _FACTORIES[name](path, fusion or FusionConfig())
