"""Light convolutions for strides 1 and 2, which ConvNeXt does not have."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from nnunet_textguided.architectures.blocks import ConvBlock


class Stem(nn.Module):
    """Image (B, C, ...) -> features at full and at half resolution, one convolution block each.

    Args:
        input_channels: Image channels C.
        channels: Channels at stride 1 and at stride 2.
        kernels: Kernel at stride 1 and at stride 2, one number an axis.
        stride: Stride between them, one number an axis.
    """

    def __init__(
        self,
        input_channels: int,
        channels: tuple[int, int],
        kernels: tuple[Sequence[int], Sequence[int]],
        stride: Sequence[int],
    ) -> None:
        super().__init__()
        self.channels = channels
        self.stride_1 = ConvBlock(input_channels, channels[0], kernels[0])
        self.stride_2 = ConvBlock(channels[0], channels[1], kernels[1], stride)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return [stride-1 features, stride-2 features]."""
        full = self.stride_1(x)
        return [full, self.stride_2(full)]
