"""Self-attention within windows."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def split_windows(x: torch.Tensor, window: int) -> torch.Tensor:
    """Cut tokens (B, H, W, C) into windows (B, H/s, W/s, s * s, C), s the side of a window.

    Args:
        x: Tokens; s divides H and W.
        window: Side s of a window.
    """
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // window, window, width // window, window, channels)
    return x.transpose(2, 3).flatten(3, 4)


def join_windows(windows: torch.Tensor, window: int) -> torch.Tensor:
    """Undo `split_windows`: (B, H/s, W/s, s * s, C) -> (B, H, W, C).

    Args:
        windows: Tokens by window.
        window: Side s of a window.
    """
    x = windows.unflatten(3, (window, window)).transpose(2, 3)
    return x.flatten(3, 4).flatten(1, 2)


class LocalAttention(nn.Module):
    """Multi-head self-attention among the tokens of each window; no window hears of another.

    softmax(Q K^T / sqrt(d)) V a head, then an output projection. Keys have no bias: it adds the same number to all
    scores of a query, which the softmax takes away again.

    Args:
        channels: Width of a token.
        heads: Number of heads, a divisor of the width.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels)
        self.project = nn.Linear(channels, channels)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Attend within windows.

        Args:
            windows: (..., n, C), n tokens each.

        Returns:
            (..., n, C).
        """
        shape = windows.shape
        x = windows.reshape(-1, *shape[-2:])
        query, key, value = (self._by_head(layer(x)) for layer in (self.query, self.key, self.value))
        x = F.scaled_dot_product_attention(query, key, value)
        return self.project(x.transpose(1, 2).flatten(2)).reshape(shape)

    def _by_head(self, x: torch.Tensor) -> torch.Tensor:
        """(N, n, C) -> (N, heads, n, C / heads)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)
