"""Sine positions of a feature grid of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

LOWEST_CYCLES, HIGHEST_CYCLES = 0.5, 16.0  # periods over the whole grid; the lowest tells both ends apart


def sine_positions(size: Sequence[int], width: int, device: torch.device | str | None = None) -> torch.Tensor:
    """Sines and cosines of the cell centres, each axis normalised to 0..1 by its own length.

    The axes share the channels evenly; frequencies are geometric; channels left over are zero. After the idea of
    "Attention Is All You Need" (2017), normalised by the grid as in DETR (2020).

    Args:
        size: Cells along each axis, (H, W) or (D, H, W).
        width: Number of channels.
        device: Where to make it.

    Returns:
        (cells, width) float32 with the last axis of `size` varying fastest.
    """
    per_axis = width // (2 * len(size))
    exponents = torch.arange(per_axis, device=device, dtype=torch.float32) / max(per_axis - 1, 1)
    frequencies = 2 * math.pi * LOWEST_CYCLES * (HIGHEST_CYCLES / LOWEST_CYCLES) ** exponents
    parts = []
    for axis, cells in enumerate(size):
        centres = (torch.arange(cells, device=device, dtype=torch.float32) + 0.5) / cells
        angles = centres[:, None] * frequencies
        shape = [1] * len(size) + [2 * per_axis]
        shape[axis] = cells
        waves = torch.cat([angles.sin(), angles.cos()], dim=1).reshape(shape)
        parts.append(waves.expand(*size, -1))
    positions = torch.cat(parts, dim=-1).reshape(-1, 2 * per_axis * len(size))
    return F.pad(positions, (0, width - positions.shape[1]))


class PositionBias(nn.Module):
    """Adds projected sine positions to features (B, C, ...): what a pixel feature knows of its place in the patch.

    Args:
        channels: Number of channels C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(channels, channels, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x with positions."""
        positions = self.project(sine_positions(x.shape[2:], x.shape[1], x.device))
        return x + positions.t().reshape(1, -1, *x.shape[2:]).to(x.dtype)
