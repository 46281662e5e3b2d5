"""Convolution stem, then mixed blocks down to the bottleneck."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_textguided.architectures.mixed_transformer.conv_blocks import conv_norm
from nnunet_textguided.architectures.mixed_transformer.conv_stem import ConvStem
from nnunet_textguided.architectures.mixed_transformer.mixed_block import MixedLevel
from nnunet_textguided.architectures.mixed_transformer.spec import MixedTransformerSpec


class MixedEncoder(nn.Module):
    """Image -> features of all levels, strides 1, 2, 4 by convolution and 8, 16, 32 by mixed blocks.

    Args:
        spec: Widths and blocks.
    """

    def __init__(self, spec: MixedTransformerSpec) -> None:
        super().__init__()
        widths = spec.mixed_channels
        self.channels = (*spec.stem_channels, *widths)
        self.strides = tuple((2**k, 2**k) for k in range(len(self.channels)))
        self.stem = ConvStem(spec.input_channels, spec.stem_channels)
        self.embed = conv_norm(spec.stem_channels[-1], widths[0], 1)
        self.positions = nn.Parameter(torch.zeros(1, widths[0], *spec.position_grid))
        self.levels = nn.ModuleList(MixedLevel(width, spec) for width in widths)
        self.reduce = nn.ModuleList(conv_norm(width, wider, 2, stride=2) for width, wider in pairwise(widths))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Encode an image (B, C, H, W) whose sides the last stride divides.

        Returns:
            Features of every level, full resolution first, the bottleneck last.
        """
        x, skips = self.stem(x)
        x = self.embed(x).relu()
        x = x + self._positions(x.shape[2:])
        for number, level in enumerate(self.levels):
            if number > 0:
                x = self.reduce[number - 1](x).relu()
            x = level(x)
            skips.append(x)
        return skips

    def _positions(self, size: torch.Size) -> torch.Tensor:
        """The position table for a grid of this size, interpolated where it was made for another."""
        if self.positions.shape[2:] == size:
            return self.positions
        return F.interpolate(self.positions, size=size, mode="bilinear", align_corners=False)
