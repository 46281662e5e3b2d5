"""Convolution blocks for 2D and 3D that the stem and the pixel decoder are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

LEAKY_SLOPE = 0.01  # nnU-Net's slope
BOUND = 6.0  # of what is scored; normalised values rarely reach it


def group_norm(channels: int) -> nn.GroupNorm:
    """Eight groups where that divides.

    Unlike instance normalisation it is defined for one voxel, which small 3D patches reach.

    Args:
        channels: Number of channels.
    """
    groups = next(groups for groups in (8, 6, 4, 3, 2, 1) if channels % groups == 0)
    return nn.GroupNorm(groups, channels)


def convolution(
    in_channels: int, out_channels: int, kernel: Sequence[int], stride: Sequence[int] | None = None, bias: bool = True
) -> nn.Conv2d | nn.Conv3d:
    """Convolution over as many axes as the kernel has, padded to keep the size at stride 1.

    Args:
        in_channels: Channels read.
        out_channels: Channels written.
        kernel: Odd sizes, one an axis.
        stride: One an axis; None = 1 everywhere.
        bias: Whether to add a bias.
    """
    operations: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}  # one call for both; each wants tuples of its own length
    padding = tuple(size // 2 for size in kernel)
    strides = tuple(stride) if stride is not None else 1
    return operations[len(kernel)](in_channels, out_channels, tuple(kernel), stride=strides, padding=padding, bias=bias)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of every voxel of (B, C, ...)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ConvBlock(nn.Module):
    """Convolution -> GroupNorm -> activation, (B, C, ...) -> (B, C', ...).

    Args:
        in_channels: Channels read.
        out_channels: Channels written.
        kernel: Odd sizes, one an axis.
        stride: One an axis; None = 1 everywhere.
        bounded: Clamp to -6..6 instead of leaky ReLU: pixel features keep their sign, and logits stay finite.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Sequence[int],
        stride: Sequence[int] | None = None,
        bounded: bool = False,
    ) -> None:
        super().__init__()
        self.conv = convolution(in_channels, out_channels, kernel, stride, bias=False)
        self.norm = group_norm(out_channels)
        self.bounded = bounded

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the block."""
        x = self.norm(self.conv(x))
        if self.bounded:
            return F.hardtanh(x, -BOUND, BOUND, inplace=True)
        return F.leaky_relu(x, LEAKY_SLOPE, inplace=True)


class ResidualBlock(nn.Module):
    """x + GroupNorm(convolution(ConvBlock(x))), clamped to -6..6; size and channels stay.

    Args:
        channels: Channels read and written.
        hidden: Channels between the two convolutions.
        kernel: Odd sizes, one an axis.
    """

    def __init__(self, channels: int, hidden: int, kernel: Sequence[int]) -> None:
        super().__init__()
        self.first = ConvBlock(channels, hidden, kernel)
        self.second = convolution(hidden, channels, kernel, bias=False)
        self.norm = group_norm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the block to (B, C, ...)."""
        return F.hardtanh(x + self.norm(self.second(self.first(x))), -BOUND, BOUND)


def upsample(x: torch.Tensor, factors: Sequence[int]) -> torch.Tensor:
    """Enlarge every axis by a whole factor, nearest neighbour: (B, C, H, W) or (B, C, D, H, W).

    Args:
        x: Features.
        factors: One an axis.
    """
    if all(factor == 1 for factor in factors):
        return x
    return F.interpolate(x, scale_factor=tuple(float(factor) for factor in factors), mode="nearest")


def shuffle_up(x: torch.Tensor, factors: Sequence[int]) -> torch.Tensor:
    """Pixel shuffle with one factor an axis: (B, C * prod(f), H, W) -> (B, C, f1 * H, f2 * W), likewise in 3D.

    Args:
        x: Features.
        factors: One an axis.
    """
    if len(factors) == 2 and factors[0] == factors[1]:
        return F.pixel_shuffle(x, factors[0])
    ndim = len(factors)
    size = x.shape[2:]
    channels = x.shape[1] // int(torch.Size(factors).numel())
    x = x.reshape(x.shape[0], channels, *factors, *size)
    order = [axis for i in range(ndim) for axis in (2 + ndim + i, 2 + i)]  # D, f1, H, f2, W, f3
    x = x.permute(0, 1, *order)
    return x.reshape(x.shape[0], channels, *(n * f for n, f in zip(size, factors, strict=True)))
