"""Raw observations of the demonstrations go in, one fixed affine map comes out: what policy and critics see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dopamine_core.errors import LearnerError

CLIP = 5.0  # standard deviations; beyond it a shift would only saturate the first layer


@dataclass(frozen=True)
class Normaliser:
    """z = clip((x - mean) @ weight, -CLIP, CLIP): image features whitened by block, the rest standardised."""

    mean: NDArray[np.float32]  # (O,)
    weight: NDArray[np.float32]  # (O, Z)

    def __call__(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (N, O) raw observations to (N, Z)."""
        if observations.shape[-1] != self.mean.shape[0]:
            raise LearnerError(
                expected=f"observations of size {self.mean.shape[0]}",
                got=str(observations.shape),
                remedy="use the encoder and the observation settings that the policy was trained with",
            )
        return np.clip((observations - self.mean) @ self.weight, -CLIP, CLIP).astype(np.float32)


def fit_normaliser(
    observations: NDArray[np.float32],
    blocks: tuple[int, ...],
    *,
    components: int,
    floor: NDArray[np.float32] | None = None,
) -> Normaliser:
    """Fit the map on the demonstrations; it stays fixed for the life of the policy.

    :param observations: (N, O) raw observations.
    :param blocks: sizes of the leading feature blocks (one per camera); the remaining columns are standardised
        one by one.
    :param components: principal components kept per feature block; 0 keeps every column, standardised.
    :param floor: (O - sum(blocks),) smallest standard deviation of the remaining columns, in their units, so that
        a column that hardly moves in the demonstrations is not blown up.
    """
    if observations.ndim != 2 or len(observations) < 2 or not np.isfinite(observations).all():
        raise LearnerError(
            expected="at least two finite observations, (N, O)",
            got=f"{observations.shape}, finite: {bool(np.isfinite(observations).all())}",
            remedy="record a demonstration first",
        )
    mean = observations.mean(axis=0, dtype=np.float64)
    columns: list[NDArray[np.float64]] = []
    start = 0
    for size in blocks:
        columns.append(
            _placed(_block_map(observations[:, start : start + size], components), start, len(mean))
        )
        start += size
    rest = observations[:, start:].std(axis=0, dtype=np.float64)
    low = np.full(rest.shape, 1e-6) if floor is None else np.asarray(floor, np.float64)
    columns.append(_placed(np.diag(1.0 / np.maximum(rest, low)), start, len(mean)))
    return Normaliser(mean.astype(np.float32), np.concatenate(columns, axis=1).astype(np.float32))


def _block_map(block: NDArray[np.float32], components: int) -> NDArray[np.float64]:
    """Whiten the leading principal components of (N, F); the tail shares one scale, so noise is not blown up."""
    centred = block - block.mean(axis=0, dtype=np.float64)
    if components == 0:
        deviation = centred.std(axis=0)
        return np.diag(1.0 / np.maximum(deviation, 0.1 * max(float(deviation.max()), 1e-6)))
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    kept = min(components, len(singular))
    deviation = singular[:kept] / np.sqrt(len(block))
    return axes[:kept].T / np.maximum(deviation, 0.1 * max(float(deviation[0]), 1e-6))


def _placed(block: NDArray[np.float64], start: int, rows: int) -> NDArray[np.float64]:
    """Put a (F, K) map into the rows of an (O, K) one."""
    full = np.zeros((rows, block.shape[1]))
    full[start : start + len(block)] = block
    return full
