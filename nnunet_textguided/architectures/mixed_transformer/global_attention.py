"""Axial self-attention that prefers what is near."""

from __future__ import annotations

import torch
from torch import nn

SMALLEST_DECAY = 1e-3
"""Of the initial draw, whose logarithm is learned."""


class GaussianAxialAttention(nn.Module):
    """Every token attends to its row and to its column; a learned Gaussian of the distance weighs the scores.

    Along an axis softmax_j(q_i k_j - a (i - j)^2) v_j, one head, and the two axes are added. exp(-a d^2) is a Gaussian
    of the distance d in tokens with a = 1 / (2 sigma^2); a is one number for both axes. As in the published code the
    scores are not divided by the root of the width, there is no output projection (the layer behind is linear), and a
    starts as |N(0, 1)|. It is learned as its logarithm here, so the Gaussian cannot turn upside down. Keys have no
    bias, and the Gaussian no offset: a softmax takes both away again.

    Args:
        channels: Width of a token.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels)
        self.log_decay = nn.Parameter(torch.randn(1).abs().clamp_min(SMALLEST_DECAY).log())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend along rows and columns, (B, H, W, C) -> (B, H, W, C)."""
        query, key, value = self.query(x), self.key(x), self.value(x)
        rows = self._attend(query, key, value)
        columns = self._attend(*(part.transpose(1, 2) for part in (query, key, value)))
        return rows + columns.transpose(1, 2)

    def _attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attend along the last but one axis of (B, lines, n, C)."""
        scores = query @ key.mT
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))  # fp16 is too coarse
        weights = (scores - self.log_decay.exp() * self._squared_distances(query.shape[-2])).softmax(dim=-1)
        return weights.to(value.dtype) @ value

    def _squared_distances(self, length: int) -> torch.Tensor:
        """(n, n) squared distances between the tokens of a line."""
        places = torch.arange(length, device=self.log_decay.device, dtype=self.log_decay.dtype)
        return (places[:, None] - places[None, :]).square()
