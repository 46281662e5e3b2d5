"""From the coarsest features back to full resolution: the pixel features that the mask vectors score."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_textguided.architectures.blocks import (
    ChannelNorm,
    ConvBlock,
    convolution,
    shuffle_up,
    upsample,
)
from nnunet_textguided.architectures.lesion_branch import LesionBranch
from nnunet_textguided.architectures.positions import PositionBias

FIRST_ENCODER_LEVEL = 2  # finer levels come from the stem, whose features are normalised
LAST_PIXEL_LEVEL = 2  # levels 0 to 2 are scored by the mask vectors


class PixelFeatures(NamedTuple):
    """What the mask vectors score, with values in -6..6.

    Attributes:
        levels: For the structures, (B, C, ...), full resolution first: levels 0 to 3 while `deep_supervision` is on,
            else level 0.
        lesions: For the findings, (B, C / 2, ...) at level 1; None without a lesion branch.
    """

    levels: list[torch.Tensor]
    lesions: torch.Tensor | None


class MergeBlock(nn.Module):
    """One step up: project, enlarge, add the projected skip (and positions), convolve.

    Args:
        in_channels: Channels of the coarser features.
        skip_channels: Channels of the skip features.
        out_channels: Channels written.
        kernel: Kernel of the convolution, one number an axis.
        factors: Enlargement, one number an axis.
        bounded: Whether the output is bounded (supervised levels).
        normalise: Whether to normalise the skip first: ConvNeXt's features are not.
        positions: Whether to add positions in the patch.
    """

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        out_channels: int,
        kernel: Sequence[int],
        factors: Sequence[int],
        *,
        bounded: bool,
        normalise: bool,
        positions: bool,
    ) -> None:
        super().__init__()
        point = (1,) * len(kernel)
        self.factors = tuple(factors)
        self.project = convolution(in_channels, out_channels, point)
        self.skip_norm = ChannelNorm(skip_channels) if normalise else nn.Identity()
        self.lateral = convolution(skip_channels, out_channels, point, bias=False)
        self.positions = PositionBias(out_channels) if positions else nn.Identity()
        self.block = ConvBlock(out_channels, out_channels, kernel, bounded=bounded)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Merge coarser features (B, C, ...) with skip features (B, C', ...) of the finer grid."""
        x = upsample(self.project(x), self.factors) + self.lateral(self.skip_norm(skip))
        return self.block(self.positions(x))


class PixelDecoder(nn.Module):
    """U-Net-like decoder over six levels with a light full-resolution level.

    Positions in the patch are added at strides 32, 16 and 8, so pixel features can tell one vertebra from the next by
    place. The step to full resolution is a pixel shuffle and one convolution that fuses the stride-1 stem features.
    nnU-Net switches `deep_supervision` on this module.

    Args:
        skip_channels: Channels of the features of levels 0..5.
        strides: Cumulative strides of levels 0..5.
        kernels: Convolution kernels of levels 0..5.
        widths: Channels written at levels 0..5; those of levels 0, 1 and 2 are equal (pixel features).
        lesions: Whether there are findings, which get features of their own.
        deep_supervision: Whether `forward` returns all supervised levels.
    """

    def __init__(
        self,
        *,
        skip_channels: Sequence[int],
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
        widths: Sequence[int],
        lesions: bool = False,
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision
        ndim = len(strides[0])
        point = (1,) * ndim
        factors = [tuple(b // a for a, b in zip(fine, coarse, strict=True)) for fine, coarse in pairwise(strides)]
        self.pool_factors = factors[2]
        self.shuffle_factors = factors[0]
        self.coarsest = nn.Sequential(
            ChannelNorm(skip_channels[5]),
            convolution(skip_channels[5], widths[5], point),
            PositionBias(widths[5]),
            ConvBlock(widths[5], widths[5], kernels[5]),
        )
        self.merges = nn.ModuleList(
            MergeBlock(
                widths[k + 1],
                skip_channels[k],
                widths[k],
                kernels[k],
                factors[k],
                bounded=k <= LAST_PIXEL_LEVEL,
                normalise=k >= FIRST_ENCODER_LEVEL,
                positions=k > LAST_PIXEL_LEVEL,
            )
            for k in (4, 3, 2, 1)
        )
        # named so, `-pretrained_weights` works from a network without findings to one with, and back
        self.lesions = nn.ModuleDict()
        if lesions:
            branch = LesionBranch(skip_channels[0], widths[1], widths[1] // 2, (kernels[0], kernels[1]), factors[0])
            self.lesions["seg_layers"] = branch
        shuffled = widths[0] // 2
        cells = int(torch.Size(self.shuffle_factors).numel())
        self.expand = convolution(widths[1], shuffled * cells, point)
        self.fuse = ConvBlock(shuffled + skip_channels[0], widths[0], kernels[0], bounded=True)

    def forward(self, skips: Sequence[torch.Tensor]) -> PixelFeatures:
        """Decode.

        Level 3 is the mean over level 2: it carries no weight in nnU-Net's loss, so it has no computation of its own.

        Args:
            skips: Features of levels 0..5, (B, C_k, ...), the level-k grid being the padded image over stride k.
        """
        x = self.coarsest(skips[5])
        features = []
        for merge, skip in zip(self.merges, (skips[4], skips[3], skips[2], skips[1]), strict=True):
            x = merge(x, skip)
            features.append(x)
        half, quarter, lesions = features[3], features[2], None
        if "seg_layers" in self.lesions:
            lesions, change = self.lesions["seg_layers"](skips[0], half)
            half = half + change
        full = self.fuse(torch.cat([shuffle_up(self.expand(half), self.shuffle_factors), skips[0]], dim=1))
        if not self.deep_supervision:
            return PixelFeatures([full], lesions)
        pool = F.avg_pool2d if full.ndim == 4 else F.avg_pool3d
        return PixelFeatures([full, features[3], quarter, pool(quarter, self.pool_factors)], lesions)
