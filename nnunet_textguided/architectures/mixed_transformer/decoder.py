"""Mixed blocks and convolutions from the bottleneck up to one score a class and voxel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from nnunet_textguided.architectures.mixed_transformer.conv_blocks import DoubleConvolution
from nnunet_textguided.architectures.mixed_transformer.mixed_block import MixedLevel
from nnunet_textguided.architectures.mixed_transformer.spec import MixedTransformerSpec


class MixedDecoder(nn.Module):
    """Transposed convolutions; behind each the skip of that level is joined and refined.

    Mixed levels reduce what is joined to their own width before the blocks, except the finest, which keeps both halves.

    Args:
        spec: Widths, blocks and classes.

    Attributes:
        deep_supervision: nnU-Net's flag; what the network makes of it is in `MixedTransformerUNet`.
    """

    def __init__(self, spec: MixedTransformerSpec) -> None:
        super().__init__()
        self.deep_supervision = spec.deep_supervision
        mixed, convolved = spec.mixed_channels[-2::-1], spec.stem_channels[::-1]
        joined = 2 * mixed[-1]
        before = (spec.mixed_channels[-1], *mixed[:-1], joined, *convolved[:-1])
        pairs = list(zip(before, (*mixed, *convolved), strict=True))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(deeper, width, 2, stride=2) for deeper, width in pairs)
        self.narrow = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for width in mixed[:-1])
        self.mixed = nn.ModuleList(MixedLevel(width, spec) for width in (*mixed[:-1], joined))
        self.convolved = nn.ModuleList(DoubleConvolution(2 * width, width) for width in convolved)
        self.seg_layers = nn.Conv2d(convolved[-1], spec.num_classes, 1)

    def forward(self, skips: Sequence[torch.Tensor]) -> torch.Tensor:
        """Decode.

        Args:
            skips: Features of every level, full resolution first, the bottleneck last.

        Returns:
            Logits (B, num_classes, H, W) at full resolution.
        """
        *skips, x = skips
        for number, enlarge in enumerate(self.enlarge):
            x = enlarge(x)
            skip = skips[-1 - number]
            if number < len(self.mixed):
                x = torch.cat([x, skip], dim=1)
                x = self.narrow[number](x) if number < len(self.narrow) else x
                x = self.mixed[number](x)
            else:
                x = self.convolved[number - len(self.mixed)](torch.cat([skip, x], dim=1))
        return self.seg_layers(x)
