"""Attention to a learned memory that all images share."""

from __future__ import annotations

import torch
from torch import nn

SMALLEST_SUM = 1e-9
"""Added to the sums that scores are divided by; the authors' value."""


class ExternalAttention(nn.Module):
    """Multi-head external attention: tokens read from a memory that belongs to the data set, not to the image.

    Guo et al., Beyond self-attention: external attention using two linear layers for visual tasks (arXiv 2105.02358),
    in the multi-head form. Scores against the memory's keys are normalised twice: a softmax over the tokens of the
    image, then division by their sum over the memory's slots. All heads share one memory. Neither queries nor keys have
    a bias: it would add the same number to all tokens' scores of a slot, which the softmax takes away again.

    Args:
        channels: Width of a token.
        heads: Heads before the expansion.
        slots: Size S of the memory before it is divided by the expansion.
        expansion: Factor on width and heads inside.
    """

    def __init__(self, channels: int, heads: int, slots: int, expansion: int) -> None:
        super().__init__()
        self.heads = heads * expansion
        width = channels // heads
        self.query = nn.Linear(channels, channels * expansion, bias=False)
        self.keys = nn.Linear(width, slots // expansion, bias=False)
        self.values = nn.Linear(slots // expansion, width)
        self.project = nn.Linear(channels * expansion, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read from the memory, (B, H, W, C) -> (B, H, W, C)."""
        query = self.query(x.flatten(1, 2)).unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, H W, width)
        scores = self.keys(query)
        weights = scores.softmax(dim=-2, dtype=torch.promote_types(scores.dtype, torch.float32))  # many small shares
        weights = weights / (weights.sum(dim=-1, keepdim=True) + SMALLEST_SUM)
        read = self.values(weights.to(query.dtype)).transpose(1, 2).flatten(2)
        return self.project(read).reshape(x.shape)
