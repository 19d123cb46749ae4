"""A name and a path come in, a reward model goes out; back ends are imported when asked for.

A back end is one file of ``models/``, named like it. The file holds a frozen dataclass ``Config`` of declared
settings, among them ``path``, and a function ``load(config, fusion)`` that returns a ``RewardModel``. Its packages
may be missing: the error names the extra that brings them.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dopamine_core.config import from_mapping, load_yaml
from dopamine_core.errors import MissingPackageError, UnknownNameError
from dopamine_core.reward import models
from dopamine_core.reward.fusion import FusionConfig
from dopamine_core.reward.session import RewardModel

Factory = Callable[[str, FusionConfig], RewardModel]

#: Which extra of this package brings a package that back ends import.
EXTRAS = {
    "accelerate": "grm",
    "bitsandbytes": "quantised",
    "httpx": "remote",
    "onnxruntime": "nano",
    "peft": "grm",
    "python_multipart": "serve",
    "safetensors": "grm",
    "starlette": "serve",
    "tokenizers": "grm",
    "torch": "torch",
    "transformers": "grm",
    "uvicorn": "serve",
}
#: A model's own name may carry a variant behind this, such as the prompt in use: ``grm+official``.
VARIANT = "+"
_added: dict[str, Factory] = {}


def register_reward_model(name: str, factory: Factory) -> None:
    """Add a back end that is no file of ``models/``; the last one registered under a name wins.

    :param factory: takes the path (empty: the default weights) and the fusion settings.
    """
    _added[name] = factory


def known_reward_models() -> list[str]:
    """List the names; nothing is imported."""
    return sorted({*_added, *_files()})


def describe_reward_models() -> dict[str, str]:
    """Return the first sentence of each back end's file by name; nothing is imported."""
    return {name: _first_sentence(path) for name, path in sorted(_files().items())}


def load_reward_model(
    name: str,
    path: str = "",
    fusion: FusionConfig | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RewardModel:
    """Load a reward model by name.

    :param name: registered name, e.g. ``"nano"``; a variant behind it, as in a model's own name, says nothing here.
    :param path: weights, adaptation folder, hub id or address, as the back end says; or a ``.yaml`` file of the
        back end's settings. Empty: its default.
    :param fusion: how readings are fused; the defaults when left out.
    :param settings: further settings of the back end; they win over the file's.
    :raises UnknownNameError: when the name is not registered.
    :raises MissingPackageError: when a package that the back end needs is not installed.
    :raises ConfigError: when a setting is unknown or out of range.
    :raises ModelError: when the weights are missing or corrupt.
    """
    fusion = fusion or FusionConfig()
    name = name.partition(VARIANT)[0]
    if name in _added:
        return _added[name](path, fusion)
    with _packages_of(name):
        back_end = _import(name)
        return back_end.load(from_mapping(back_end.Config, values_of(path, settings or {})), fusion)


def read_settings(name: str, path: str = "", settings: Mapping[str, Any] | None = None) -> Any:
    """Read a back end's settings without loading anything; raises as ``load_reward_model``."""
    with _packages_of(name):
        return from_mapping(_import(name).Config, values_of(path, settings or {}))


def settings_class(name: str) -> type:
    """Return a back end's ``Config``; raises as ``load_reward_model``."""
    with _packages_of(name):
        return _import(name).Config


def _import(name: str) -> Any:
    if name not in _files():
        raise UnknownNameError(kind="reward model", name=name, known=known_reward_models())
    return importlib.import_module(f"{models.__name__}.{name}")


@contextmanager
def _packages_of(name: str) -> Iterator[None]:
    """Name the extra when a package is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_package(name, error) from error


def values_of(path: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a back end from a path or a .yaml file; ``settings`` win over the file's."""
    if path.endswith((".yaml", ".yml")):
        return {**load_yaml(Path(path)), **settings}
    return {**({"path": path} if path else {}), **settings}


def _files() -> dict[str, Path]:
    """Files of ``models/`` by back end name."""
    found = [info.name for info in pkgutil.iter_modules(models.__path__) if not info.ispkg]
    folder = Path(models.__path__[0])
    return {name: folder / f"{name}.py" for name in found if not name.startswith("_")}


def _first_sentence(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return doc.split("\n\n")[0].replace("\n", " ")


def missing_package(name: str, error: ModuleNotFoundError) -> MissingPackageError:
    """Say which package a back end misses, and which extra brings it.

    :param name: of the back end.
    """
    package = (error.name or "").split(".")[0]
    extra = EXTRAS.get(package)
    install = f"pip install 'robo_dopamine[{extra}]'" if extra else f"pip install {package}"
    return MissingPackageError(
        expected=f"the package {package!r}, which the reward model {name!r} needs",
        got="no such package in this environment",
        remedy=f"install it: {install}",
    )
