"""The outer encoder levels: convolutions at strides 1, 2 and 4."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from nnunet_textguided.architectures.mixed_transformer.conv_blocks import DoubleConvolution


class ConvStem(nn.Module):
    """Double convolutions with max pooling behind each.

    Args:
        input_channels: Image channels.
        channels: Width of every level, full resolution first.
    """

    def __init__(self, input_channels: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        pairs = pairwise((input_channels, *channels))
        self.levels = nn.ModuleList(DoubleConvolution(before, after) for before, after in pairs)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Encode an image (B, C, H, W).

        Returns:
            Features behind the last pooling, and the features of every level, full resolution first.
        """
        skips = []
        for level in self.levels:
            skips.append(level(x))
            x = self.pool(skips[-1])
        return x, skips
