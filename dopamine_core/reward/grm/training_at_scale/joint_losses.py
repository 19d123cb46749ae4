"""What a clip model says of progress, success and preference comes in, differentiable losses go out.

The three terms of Robometer (arXiv 2603.02115): two-hot cross-entropy over progress bins, class-balanced binary
cross-entropy of success per frame, binary cross-entropy of the preferred clip. Each term is a mean over clips, each
clip's the mean over its known frames; a clip without any counts as 0, so that a term's weight in a batch does not
depend on how clips are spread over passes and processes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_ASKED_BELOW = 0.5  # a frame that is no success is only learned from where progress is low


def two_hot(progress: Tensor, bins: int) -> Tensor:
    """Spread progress over the two nearest bin centres, whose mean it then is.

    :param progress: any shape, in [0, 1].
    :param bins: centres ``linspace(0, 1, bins)``, at least 2.
    :returns: (..., bins), sums to 1.
    """
    place = progress.clamp(0.0, 1.0) * (bins - 1)
    below = place.floor().clamp(max=bins - 2)
    above = (place - below)[..., None]
    index = below.long()
    return functional.one_hot(index, bins) * (1.0 - above) + functional.one_hot(index + 1, bins) * above


def progress_loss(logits: Tensor, progress: Tensor, known: Tensor) -> Tensor:
    """Two-hot cross-entropy of progress.

    :param logits: (B, T, K) over bins.
    :param progress: (B, T) in [0, 1]; what is not known may be any number.
    :param known: (B, T) bool.
    """
    target = two_hot(_safe(progress, known), logits.shape[-1])
    return _clip_mean(-(target * logits.float().log_softmax(-1)).sum(-1), known)


def success_loss(logits: Tensor, success: Tensor, known: Tensor, positive_share: float) -> Tensor:
    """Class-balanced binary cross-entropy: both classes weigh alike, however rare one is.

    :param logits: (B, T).
    :param success: (B, T) 0 or 1.
    :param known: (B, T) bool; see ``success_known``.
    :param positive_share: of the known frames of all data that are successes, in (0, 1); not of the batch, which would
        make the loss depend on how clips are spread.
    """
    label = _safe(success, known)
    weight = label * (0.5 / positive_share) + (1.0 - label) * (0.5 / (1.0 - positive_share))
    error = functional.binary_cross_entropy_with_logits(logits.float(), label, reduction="none")
    return _clip_mean(weight * error, known)


def success_known(progress: Tensor, success: Tensor) -> Tensor:
    """Frames whose success is beyond doubt: low progress, or labelled a success.

    :param progress: (B, T) in [0, 1].
    :param success: (B, T) 0 or 1.
    :returns: (B, T) bool.
    """
    return (progress < _ASKED_BELOW) | (success > 0.5)


def preference_loss(logits: Tensor, first_better: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy of which of two clips comes further.

    :param logits: (B,) that the first does.
    :param first_better: (B,) 0 or 1.
    :param known: (B,) bool.
    """
    label = _safe(first_better, known)
    error = functional.binary_cross_entropy_with_logits(logits.float(), label, reduction="none")
    return _clip_mean(error[:, None], known[:, None])


def _safe(label: Tensor, known: Tensor) -> Tensor:
    """Labels with 0 where there is none, so that no NaN gets into a gradient."""
    return torch.where(known, label, torch.zeros_like(label)).float()


def _clip_mean(error: Tensor, known: Tensor) -> Tensor:
    """Mean over clips of the mean over each one's known frames."""
    counted = torch.where(known, error, torch.zeros_like(error)).sum(-1)
    return (counted / known.sum(-1).clamp(min=1)).mean()
