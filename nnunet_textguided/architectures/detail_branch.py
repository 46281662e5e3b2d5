"""What scores at stride 2, enlarged, do not tell: where borders run at full resolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from nnunet_textguided.architectures.blocks import ConvBlock, convolution, shuffle_up


class DetailBranch(nn.Module):
    """Stem features at stride 1 and features at stride 2 -> details at stride 1.

    Which structure a voxel belongs to is known at stride 2; full resolution adds borders. So few channels do, where
    every channel costs most.

    Args:
        half_channels: Channels at stride 2.
        stem_channels: Channels at stride 1.
        channels: Channels of the details.
        kernel: Kernel at stride 1, one number an axis.
        stride: Stride between them, one number an axis.
    """

    def __init__(
        self, half_channels: int, stem_channels: int, channels: int, kernel: Sequence[int], stride: Sequence[int]
    ) -> None:
        super().__init__()
        self.stride = tuple(stride)
        cells = int(torch.Size(self.stride).numel())
        self.expand = convolution(half_channels, channels * cells, (1,) * len(kernel))
        self.fuse = ConvBlock(channels + stem_channels, channels, kernel)
        self.sharpen = ConvBlock(channels, channels, kernel, bounded=True)

    def forward(self, half: torch.Tensor, stem: torch.Tensor) -> torch.Tensor:
        """Look for borders.

        Args:
            half: (B, half_channels, ...) at stride 2.
            stem: (B, stem_channels, ...) at stride 1.

        Returns:
            (B, channels, ...) at stride 1, with values in -6..6.
        """
        enlarged = shuffle_up(self.expand(half), self.stride)
        return self.sharpen(self.fuse(torch.cat([enlarged, stem], dim=1)))
