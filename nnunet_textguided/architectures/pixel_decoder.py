"""From the coarsest features back to full resolution: the features that the mask vectors score."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_textguided.architectures.blocks import BOUND, ChannelNorm, ConvBlock, convolution, upsample
from nnunet_textguided.architectures.detail_branch import DetailBranch
from nnunet_textguided.architectures.lesion_branch import LesionBranch
from nnunet_textguided.architectures.positions import PositionBias

FIRST_ENCODER_LEVEL = 2  # finer levels come from the stem, whose features are normalised
LAST_LEVEL_WITHOUT_POSITIONS = 2
N_CONV_PER_STAGE = {4: 1, 3: 1, 2: 2, 1: 2}
"""Convolution blocks by level: outlines gain from a second one where they are drawn (docs/decisions.md)."""


class PixelFeatures(NamedTuple):
    """What the mask vectors score, with values in -6..6.

    Attributes:
        half: For the structures at full resolution, where their scores are enlarged: (B, C, ...) at level 1.
        details: For the structures at full resolution, too: (B, C_d, ...) at level 0.
        coarser: For the structures at levels 1 to 4 while `deep_supervision` is on, (B, C, ...) each; else empty.
        lesions: For the findings, (B, C / 2, ...) at level 1; None without a lesion branch.
    """

    half: torch.Tensor
    details: torch.Tensor
    coarser: list[torch.Tensor]
    lesions: torch.Tensor | None


class MergeBlock(nn.Module):
    """One step up: project, enlarge, add the projected skip (and positions), convolve.

    Args:
        in_channels: Channels of the coarser features.
        skip_channels: Channels of the skip features.
        out_channels: Channels written.
        kernel: Kernel of the convolution, one number an axis.
        factors: Enlargement, one number an axis.
        n_conv: Convolution blocks after the sum.
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
        n_conv: int,
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
        self.blocks = nn.Sequential(*(ConvBlock(out_channels, out_channels, kernel) for _ in range(n_conv)))

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Merge coarser features (B, C, ...) with skip features (B, C', ...) of the finer grid."""
        x = upsample(self.project(x), self.factors) + self.lateral(self.skip_norm(skip))
        return self.blocks(self.positions(x))


class PixelDecoder(nn.Module):
    """U-Net-like decoder over six levels with light details at full resolution.

    Positions in the patch are added at strides 32, 16 and 8, so features can tell one vertebra from the next by place.
    Levels 1 to 3 of the pathway are projected to pixel features, without an activation: signed features tell classes
    apart sooner (docs/decisions.md). nnU-Net switches `deep_supervision` on this module.

    Args:
        skip_channels: Channels of the features of levels 0..5.
        strides: Cumulative strides of levels 0..5.
        kernels: Convolution kernels of levels 0..5.
        widths: Channels of the pathway at levels 1..5.
        pixel_width: Channels C of the pixel features.
        detail_width: Channels C_d of the details.
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
        pixel_width: int,
        detail_width: int,
        lesions: bool = False,
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        self.deep_supervision = deep_supervision
        self.pixel_width = pixel_width
        point = (1,) * len(strides[0])
        factors = [tuple(b // a for a, b in zip(fine, coarse, strict=True)) for fine, coarse in pairwise(strides)]
        self.pool_factors = factors[3]
        written = [0, *widths]  # by level
        self.coarsest = nn.Sequential(
            ChannelNorm(skip_channels[5]),
            convolution(skip_channels[5], written[5], point),
            PositionBias(written[5]),
            ConvBlock(written[5], written[5], kernels[5]),
        )
        self.merges = nn.ModuleList(
            MergeBlock(
                written[k + 1],
                skip_channels[k],
                written[k],
                kernels[k],
                factors[k],
                n_conv=N_CONV_PER_STAGE[k],
                normalise=k >= FIRST_ENCODER_LEVEL,
                positions=k > LAST_LEVEL_WITHOUT_POSITIONS,
            )
            for k in (4, 3, 2, 1)
        )
        self.pixels = nn.ModuleList(PixelProjection(written[k], pixel_width, point) for k in (3, 2, 1))
        # named so, `-pretrained_weights` works from a network without findings to one with, and back
        self.lesions = nn.ModuleDict()
        if lesions:
            branch = LesionBranch(skip_channels[0], written[1], written[1] // 2, (kernels[0], kernels[1]), factors[0])
            self.lesions["seg_layers"] = branch
        self.details = DetailBranch(written[1], skip_channels[0], detail_width, kernels[0], factors[0])

    def forward(self, skips: Sequence[torch.Tensor]) -> PixelFeatures:
        """Decode.

        Level 4 is the mean over level 3: it carries no weight in nnU-Net's loss, so it has no computation of its own.

        Args:
            skips: Features of levels 0..5, (B, C_k, ...), the level-k grid being the padded image over stride k.
        """
        x = self.coarsest(skips[5])
        pathway = []
        for merge, skip in zip(self.merges, (skips[4], skips[3], skips[2], skips[1]), strict=True):
            x = merge(x, skip)
            pathway.append(x)
        lesions = None
        if "seg_layers" in self.lesions:
            lesions, change = self.lesions["seg_layers"](skips[0], x)
            x = x + change
        half, details = self.pixels[2](x), self.details(x, skips[0])
        if not self.deep_supervision:
            return PixelFeatures(half, details, [], lesions)
        eighth, quarter = self.pixels[0](pathway[1]), self.pixels[1](pathway[2])
        pool = F.avg_pool2d if half.ndim == 4 else F.avg_pool3d
        return PixelFeatures(half, details, [half, quarter, eighth, pool(eighth, self.pool_factors)], lesions)


class PixelProjection(nn.Module):
    """Features of the pathway -> pixel features in -6..6.

    Args:
        in_channels: Channels read.
        out_channels: Channels C written.
        kernel: Ones, as many as axes.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: Sequence[int]) -> None:
        super().__init__()
        self.conv = convolution(in_channels, out_channels, kernel, bias=False)
        # activations have a mean square of about 1/2, so pixel features start with about one
        nn.init.normal_(self.conv.weight, std=1.5 * in_channels**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Project (B, C', ...)."""
        return F.hardtanh(self.conv(x), -BOUND, BOUND, inplace=True)
