"""Convolutions with batch norm that the outer levels are made of."""

from __future__ import annotations

import torch
from torch import nn


def conv_norm(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias -> batch norm, (B, C, H, W) -> (B, C', H / stride, W / stride).

    Args:
        in_channels: Channels read.
        out_channels: Channels written.
        kernel: Odd ones are padded to keep the size, even ones are not padded.
        stride: Of both axes.
    """
    padding = (kernel - 1) // 2 if kernel % 2 else 0
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


class DoubleConvolution(nn.Module):
    """Two 3 x 3 convolutions, the result h turned into ReLU(h + norm(1 x 1 convolution of h)).

    Args:
        in_channels: Channels read.
        out_channels: Channels written.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = conv_norm(in_channels, out_channels, 3)
        self.second = conv_norm(out_channels, out_channels, 3)
        self.mix = conv_norm(out_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the block, (B, C, H, W) -> (B, C', H, W)."""
        x = self.second(self.first(x).relu())
        return (x + self.mix(x)).relu()
