"""Pixel features of their own for findings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_textguided.architectures.blocks import BOUND, ResidualBlock, convolution, group_norm

NUM_BLOCKS = 4
"""Residual blocks at stride 2. Of the shapes tried, depth paid and width did not (docs/decisions.md)."""


class LesionFeatures(nn.Module):
    """Stem features at stride 1 and pixel features at stride 2 -> features that tell lesions, at stride 2.

    Lesions are a few voxels wide, faint, and in few slices: their gradient is small beside that of the structures, or
    noisy if it is made large. Layers of their own learn at their own pace, as neither Muon nor AdamW looks at the scale
    of a gradient. The first convolutions run at full resolution, where one lesion may cover another but for a rim of a
    voxel.

    Args:
        stem_channels: Channels at stride 1.
        pixel_channels: Channels at stride 2.
        channels: Channels of the branch.
        kernels: Kernel at stride 1 and at stride 2, one number an axis.
        stride: Stride between them, one number an axis.
    """

    def __init__(
        self,
        stem_channels: int,
        pixel_channels: int,
        channels: int,
        kernels: tuple[Sequence[int], Sequence[int]],
        stride: Sequence[int],
    ) -> None:
        super().__init__()
        point = (1,) * len(stride)
        self.local = ResidualBlock(stem_channels, stem_channels, kernels[0])
        self.down = convolution(stem_channels, channels, kernels[1], stride, bias=False)
        self.lateral = convolution(pixel_channels, channels, point, bias=False)
        self.norm = group_norm(channels)
        self.blocks = nn.Sequential(*(ResidualBlock(channels, channels, kernels[1]) for _ in range(NUM_BLOCKS)))

    def forward(self, stem: torch.Tensor, half: torch.Tensor) -> torch.Tensor:
        """Look for lesions.

        Args:
            stem: (B, stem_channels, ...) at stride 1.
            half: (B, pixel_channels, ...) at stride 2.

        Returns:
            (B, channels, ...) at stride 2, with values in -6..6.
        """
        lesions = F.hardtanh(self.norm(self.down(self.local(stem)) + self.lateral(half)), -BOUND, BOUND)
        return self.blocks(lesions)


class LesionBranch(LesionFeatures):
    """Features that tell lesions, and what they tell the segmentation.

    Args:
        stem_channels: As for `LesionFeatures`, like the others.
        pixel_channels: Channels at stride 2.
        channels: Channels of the branch.
        kernels: Kernel at stride 1 and at stride 2, one number an axis.
        stride: Stride between them, one number an axis.
    """

    def __init__(
        self,
        stem_channels: int,
        pixel_channels: int,
        channels: int,
        kernels: tuple[Sequence[int], Sequence[int]],
        stride: Sequence[int],
    ) -> None:
        super().__init__(stem_channels, pixel_channels, channels, kernels, stride)
        self.to_structures = convolution(channels, pixel_channels, (1,) * len(stride), bias=False)
        nn.init.zeros_(self.to_structures.weight)

    def forward(  # type: ignore[override]  # the features, and one output more
        self, stem: torch.Tensor, half: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Look for lesions.

        Args:
            stem: (B, stem_channels, ...) at stride 1.
            half: (B, pixel_channels, ...) at stride 2.

        Returns:
            Features for the finding queries, (B, channels, ...) with values in -6..6, and what the segmentation may add
            to `half` (nothing before training). A structure keeps its normal extent where a lesion changes its signal,
            so the segmentation reads these features; it does not train them.
        """
        lesions = super().forward(stem, half)
        return lesions, self.to_structures(lesions.detach())
