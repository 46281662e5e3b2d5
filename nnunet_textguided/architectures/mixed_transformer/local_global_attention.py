"""LGG-SA: attention within windows, and Gaussian-weighted attention among windows."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_textguided.architectures.mixed_transformer.aggregation import DynamicAggregation
from nnunet_textguided.architectures.mixed_transformer.global_attention import GaussianAxialAttention
from nnunet_textguided.architectures.mixed_transformer.local_attention import (
    LocalAttention,
    join_windows,
    split_windows,
)
from nnunet_textguided.architectures.text_guided_network import crop, pad_to_multiple


class LocalGlobalAttention(nn.Module):
    """Local-global Gaussian-weighted self-attention (Wang et al., arXiv 2111.04734).

    Attention within windows; each window reduced to one token; Gaussian axial attention among these; enlarged to the
    old grid (bilinear, corners aligned) and joined with what the windows said by a linear layer.

    Args:
        channels: Width of a token.
        heads: Heads within windows.
        window: Side of a window, tokens. Grids that it does not divide are padded by their border.
    """

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.local_attention = LocalAttention(channels, heads)
        self.aggregation = DynamicAggregation(channels, window**2)
        self.global_attention = GaussianAxialAttention(channels)
        self.join = nn.Linear(2 * channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend, (B, H, W, C) -> (B, H, W, C)."""
        size = x.shape[1:3]
        padded = pad_to_multiple(x.movedim(-1, 1), (self.window, self.window)).movedim(1, -1)
        windows = self.local_attention(split_windows(padded, self.window))
        coarse = self.global_attention(self.aggregation(windows)).movedim(-1, 1)
        coarse = F.interpolate(coarse, size=padded.shape[1:3], mode="bilinear", align_corners=True)
        joined = torch.cat([coarse, join_windows(windows, self.window).movedim(-1, 1)], dim=1)
        return self.join(crop(joined, size).movedim(1, -1))
