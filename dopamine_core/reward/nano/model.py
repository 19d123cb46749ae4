"""The nano GRM in torch: frames of two cameras come in, hop and progress come out.

Two parts, exported as two ONNX files. The encoder looks at one frame at a time, so each frame is encoded once and
reused in many hops; the head compares four encoded pairs (start, goal, before, after). The encoder's ``feature``
(soft-argmax keypoints and a pooled vector) is also the frozen image feature of the policy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

ROLES = ("start", "goal", "before", "after")
VIEWS = ("front", "wrist")
HOP_RANGE = 1.1  # bins reach past 1, so that the expectation can reach 1


@dataclass(frozen=True)
class NanoShape:
    """Sizes of the nano GRM; stored in ``model.json`` beside the weights."""

    width: int = 128  # px
    height: int = 96  # px
    channels: tuple[int, int, int, int] = (24, 32, 72, 112)
    map_channels: int = 48
    keypoints: int = 32
    pooled: int = 32
    hidden: int = 128
    bins: int = 45  # hop bins over [-HOP_RANGE, HOP_RANGE]

    @property
    def map_size(self) -> tuple[int, int]:
        """(rows, columns) of the encoder's map: stride 16, rounded up."""
        return -(-self.height // 16), -(-self.width // 16)

    @property
    def feature_dim(self) -> int:
        """Length F of the feature: x and y of every keypoint, then the pooled vector."""
        return 2 * self.keypoints + self.pooled


class _Down(nn.Module):
    """Halve the resolution, told which camera looks."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.view = nn.Embedding(len(VIEWS), outputs)
        nn.init.normal_(self.view.weight, std=0.1)

    def forward(self, x: Tensor, view: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv(x)) + self.view(view)[:, :, None, None])


class _Residual(nn.Module):
    """Two 3x3 convolutions around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.body(x))


class Encoder(nn.Module):
    """One frame in; a coarse map for comparing and a feature vector that knows where things are out."""

    def __init__(self, shape: NanoShape) -> None:
        super().__init__()
        self.shape = shape
        c1, c2, c3, c4 = shape.channels
        self.down1, self.down2 = _Down(3, c1), _Down(c1, c2)
        self.down3, self.down4 = _Down(c2, c3), _Down(c3, c4)
        self.block2, self.block3, self.block4 = _Residual(c2), _Residual(c3), _Residual(c4)
        self.to_map = nn.Conv2d(c4, shape.map_channels, 1)
        self.lateral2, self.lateral3 = nn.Conv2d(c2, c3, 1), nn.Conv2d(c3, c3, 1)
        self.lateral4 = nn.Conv2d(c4, c3, 1)
        self.keypoint_view = nn.Embedding(len(VIEWS), c3)
        self.keypoint = nn.Conv2d(c3, shape.keypoints, 1)
        self.temperature = nn.Parameter(torch.ones(shape.keypoints))
        self.pool = nn.Linear(c4, shape.pooled)

    def forward(self, image: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """Encode frames.

        :param image: (B, H, W, 3) uint8, RGB.
        :param view: (B,) int64, 0 front, 1 wrist.
        :returns: map (B, C, h, w), unit length over C, and feature (B, F) in [-1, 1].
        """
        x = image.permute(0, 3, 1, 2).float() / 127.5 - 1.0
        return self.encode(x, view)

    def encode(self, x: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """Encode normalised frames (B, 3, H, W) in [-1, 1]; training enters here, after its augmentation."""
        fine = self.block2(self.down2(self.down1(x, view), view))  # (B, c2, H/4, W/4)
        middle = self.block3(self.down3(fine, view))  # (B, c3, H/8, W/8)
        coarse = self.block4(self.down4(middle, view))  # (B, c4, H/16, W/16)
        keypoints = self._keypoints(fine, middle, coarse, view)
        pooled = torch.tanh(self.pool(coarse.mean(dim=(2, 3))))
        unit = functional.normalize(self.to_map(coarse).float(), dim=1, eps=1e-3)
        return unit, torch.cat([keypoints, pooled.float()], dim=1)

    def _keypoints(self, fine: Tensor, middle: Tensor, coarse: Tensor, view: Tensor) -> Tensor:
        """Soft-argmax positions (B, 2K): all x in [-1, 1], then all y."""
        height, width = -(-self.shape.height // 4), -(-self.shape.width // 4)
        deep = functional.interpolate(self.lateral4(coarse), size=(-(-height // 2), -(-width // 2)))
        deep = functional.interpolate(self.lateral3(middle) + deep, size=(height, width))
        mixed = self.lateral2(fine) + deep + self.keypoint_view(view)[:, :, None, None]
        logits = self.keypoint(functional.relu(mixed)).flatten(2)  # (B, K, H/4 * W/4)
        with torch.autocast(
            logits.device.type, enabled=False
        ):  # half precision would round positions to pixels
            weights = torch.softmax(logits.float() * self.temperature.float()[:, None], dim=2)
            rows = torch.linspace(-1.0, 1.0, height, device=weights.device)
            columns = torch.linspace(-1.0, 1.0, width, device=weights.device)
            x = weights @ columns.repeat(height)
            y = weights @ rows.repeat_interleave(width)
            return torch.cat([x, y], dim=1)


class HopHead(nn.Module):
    """Compare four encoded pairs: hop of AFTER against BEFORE, and where both stand."""

    def __init__(self, shape: NanoShape) -> None:
        super().__init__()
        self.shape = shape
        c, hidden, (rows, columns) = shape.map_channels, shape.hidden, shape.map_size
        self.missing_map = nn.Parameter(torch.zeros(len(VIEWS), c, 1, 1))
        self.missing_feature = nn.Parameter(torch.zeros(len(VIEWS), shape.feature_dim))
        self.mix = nn.ModuleList(nn.Conv2d(len(ROLES) * c + 5, c, 1) for _ in VIEWS)
        self.shrink = nn.ModuleList(nn.Conv2d(c, 64, 3, stride=2, padding=1) for _ in VIEWS)
        cells = 64 * (-(-rows // 2)) * (-(-columns // 2))
        self.look = nn.ModuleList(nn.Linear(cells, hidden) for _ in VIEWS)
        pairs = 7 * len(VIEWS) * shape.feature_dim
        self.places = nn.Sequential(
            nn.Linear(pairs, 2 * hidden), nn.ReLU(), nn.Linear(2 * hidden, hidden)
        )
        self.drop = nn.Dropout(0.1)
        self.join = nn.Linear(3 * hidden, 2 * hidden)
        self.hop = nn.Linear(2 * hidden, shape.bins)
        self.phi = nn.Linear(2 * hidden, 2)
        self.register_buffer(
            "centres", torch.linspace(-HOP_RANGE, HOP_RANGE, shape.bins), persistent=False
        )

    def forward(
        self, maps: Tensor, features: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Answer hop queries.

        :param maps: (Q, 4 roles, 2 views, C, h, w).
        :param features: (Q, 4, 2, F).
        :param present: (Q, 4, 2), 1 where the view was seen, 0 where it is missing.
        :returns: hop (Q,) in [-1, 1], deviation (Q,) of the hop, phi (Q, 2) of BEFORE and AFTER in [0, 1].
        """
        logits, phi = self.logits(maps, features, present)
        hop, spread = self.expect(logits)
        return hop.clamp(-1.0, 1.0), spread, phi

    def expect(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (Q,) of the hop's distribution (Q, bins); the mean may pass 1 a little."""
        chance = torch.softmax(logits.float(), dim=1)
        hop = chance @ self.centres
        return hop, (chance @ self.centres.square() - hop.square()).clamp(min=1e-8).sqrt()

    def logits(self, maps: Tensor, features: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Hop logits (Q, bins) and phi (Q, 2): what training needs."""
        seen = present[:, :, :, None]
        maps = torch.where(seen[..., None, None] > 0.5, maps, self.missing_map)
        features = torch.where(seen > 0.5, features, self.missing_feature)
        parts = [self._look(maps[:, :, view], view) for view in range(len(VIEWS))]
        parts.append(self.places(_feature_pairs(features)))
        joined = functional.relu(self.join(self.drop(functional.relu(torch.cat(parts, dim=1)))))
        with torch.autocast(joined.device.type, enabled=False):
            joined = joined.float()
            return self.hop(joined), torch.sigmoid(self.phi(joined))

    def _look(self, maps: Tensor, view: int) -> Tensor:
        """Compare one camera's four maps (Q, 4, C, h, w) place by place: (Q, hidden)."""
        start, goal, before, after = maps.unbind(dim=1)
        pairs = ((before, after), (after, goal), (before, goal), (start, after), (start, before))
        alike = torch.stack([(a * b).sum(dim=1) for a, b in pairs], dim=1)  # (Q, 5, h, w)
        mixed = functional.relu(self.mix[view](torch.cat([maps.flatten(1, 2), alike], dim=1)))
        return self.look[view](functional.relu(self.shrink[view](mixed)).flatten(1))


def _feature_pairs(features: Tensor) -> Tensor:
    """Features of four roles and their squared differences: (Q, 7 * 2 * F)."""
    start, goal, before, after = features.flatten(2).unbind(dim=1)
    gaps = [before - after, after - goal, before - goal]
    return torch.cat([start, goal, before, after, *[gap.square() * 4.0 for gap in gaps]], dim=1)
