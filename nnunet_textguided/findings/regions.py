"""Which voxels speak for a structure: its own and those around it that belong to no other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn import functional as F

MARGIN_MM = 4.0
"""How far a region reaches beyond its structure, so that a small protrusion counts."""
_MAX_BITS = 62  # structures that share one int64


class Regions(NamedTuple):
    """The regions of a batch as a list of voxels; a voxel between two structures is in both regions.

    Attributes:
        pair: (M,) int64, sample * structures + structure.
        voxel: (M,) int64, index into the flattened spatial axes.
        own: (M,) bool, whether the voxel is of the structure itself.
    """

    pair: torch.Tensor
    voxel: torch.Tensor
    own: torch.Tensor


def structure_regions(
    labels: torch.Tensor, codes: Sequence[int], spacing: Sequence[float], margin_mm: float = MARGIN_MM
) -> Regions:
    """Grow structures by a margin into what is background.

    Args:
        labels: (B, D, H, W) or (B, H, W), label codes.
        codes: The structures wanted, their position in this list is their number.
        spacing: Of the spatial axes, mm.
        margin_mm: Radius of the ball the structures grow by.

    Returns:
        The voxels of all regions; structures that are not there have none.
    """
    labels = labels.long()
    background = (labels == 0).flatten(1)
    parts = []
    for first in range(0, len(codes), _MAX_BITS):
        chunk = codes[first : first + _MAX_BITS]
        own = _bits(labels, chunk)
        grown = _grow(own, spacing, margin_mm).flatten(1)
        own = own.flatten(1)
        reach = torch.where(background, grown, own)
        sample, voxel = reach.nonzero(as_tuple=True)
        reached, is_own = reach[sample, voxel], own[sample, voxel] != 0
        for bit in range(len(chunk)):
            chosen = (reached >> bit) & 1 != 0
            pair = sample[chosen] * len(codes) + first + bit
            parts.append(Regions(pair, voxel[chosen], is_own[chosen]))
    return Regions(*(torch.cat(part) for part in zip(*parts, strict=True)))


def ball_offsets(spacing: Sequence[float], radius_mm: float) -> list[tuple[int, ...]]:
    """List the voxel offsets within a radius, the centre included.

    Args:
        spacing: mm of each axis.
        radius_mm: Radius, mm.
    """
    reach = [math.floor(radius_mm / mm + 1e-6) for mm in spacing]
    offsets = itertools.product(*(range(-n, n + 1) for n in reach))
    inside = radius_mm**2 * (1 + 1e-6)
    return [o for o in offsets if sum((n * mm) ** 2 for n, mm in zip(o, spacing, strict=True)) <= inside]


def _bits(labels: torch.Tensor, codes: Sequence[int]) -> torch.Tensor:
    """Bit k is set where the label is `codes[k]`."""
    table = torch.zeros(max([int(labels.max()), *codes]) + 1, dtype=torch.int64, device=labels.device)
    for bit, code in enumerate(codes):
        table[code] = 1 << bit
    return table[labels.clamp_min(0)]


def _grow(bits: torch.Tensor, spacing: Sequence[float], margin_mm: float) -> torch.Tensor:
    """Union of the map shifted by every offset of the ball: exact, and one pass for all structures."""
    offsets = ball_offsets(spacing, margin_mm)
    reach = [max(offset[axis] for offset in offsets) for axis in range(len(spacing))]
    padded = F.pad(bits, [n for n in reversed(reach) for _ in (0, 1)])
    grown = torch.zeros_like(bits)
    for offset in offsets:
        window = [
            slice(n + shift, n + shift + size) for n, shift, size in zip(reach, offset, bits.shape[1:], strict=True)
        ]
        everywhere = (slice(None), *window)
        grown |= padded[everywhere]
    return grown
