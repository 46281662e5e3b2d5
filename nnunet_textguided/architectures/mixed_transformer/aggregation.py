"""One token a window: the lightweight dynamic convolution that local attention hands over to global attention."""

from __future__ import annotations

import torch
from torch import nn


class DynamicAggregation(nn.Module):
    """Weighted mean of the tokens of a window; the weights are read from their plain mean.

    A convolution with kernel and stride of a window whose kernel depends on what is in the window and is shared by all
    channels.

    Args:
        channels: Width of a token.
        tokens: Number n of tokens in a window.
    """

    def __init__(self, channels: int, tokens: int) -> None:
        super().__init__()
        self.weights = nn.Linear(channels, tokens)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Reduce windows (..., n, C) to tokens (..., C)."""
        weights = self.weights(windows.mean(dim=-2)).softmax(dim=-1)
        return (weights.unsqueeze(-2).to(windows.dtype) @ windows).squeeze(-2)
