"""The transformer over a window: it looks back only, and its export answers the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dopamine_core.reward.models.nano import open_session
from dopamine_core.reward.sarm.export import export_network
from dopamine_core.reward.sarm.network import LastFrame, SarmNetwork, SarmShape

SHAPE = SarmShape(features=6, classes=3, window=5, width=16, layers=2, heads=4)


@pytest.fixture(scope="module")
def network() -> SarmNetwork:
    torch.manual_seed(0)
    return SarmNetwork(SHAPE, torch.randn(6), torch.rand(6) + 0.5).eval()


def inputs(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(count)
    return torch.randn(count, 5, 2, 6), torch.randint(0, 2, (count, 5, 2)).float()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_export_answers_the_same(network: SarmNetwork, tmp_path: Path, count: int) -> None:
    export_network(network, tmp_path / "sequence.onnx")
    features, present = inputs(count)
    session = open_session((tmp_path / "sequence.onnx").read_bytes(), "sequence.onnx")
    made = session.run(None, {"features": features.numpy(), "present": present.numpy()})
    with torch.no_grad():
        for got, expected in zip(made, LastFrame(network)(features, present), strict=True):
            assert got.shape == (count, 3)
            np.testing.assert_allclose(got, expected.numpy(), atol=1e-5)


def test_a_frame_is_read_without_those_after_it(network: SarmNetwork) -> None:
    features, present = inputs(3)
    changed = features.clone()
    changed[:, 3:] += 1.0
    with torch.no_grad():
        before, after = network(features, present), network(changed, present)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one[:, :3], other[:, :3])
        assert not torch.allclose(one[:, 3:], other[:, 3:])


def test_a_view_that_is_not_there_does_not_count(network: SarmNetwork) -> None:
    features, present = inputs(3)
    present[..., 1] = 0.0
    changed = features.clone()
    changed[:, :, 1] += 5.0
    with torch.no_grad():
        torch.testing.assert_close(network(features, present), network(changed, present))


def test_answers_are_probabilities_and_shares(network: SarmNetwork) -> None:
    with torch.no_grad():
        probability, tau = LastFrame(network)(*inputs(4))
    torch.testing.assert_close(probability.sum(-1), torch.ones(4))
    assert ((tau > 0) & (tau < 1)).all()
