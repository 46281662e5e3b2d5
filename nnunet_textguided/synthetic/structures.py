"""Codes and order of the spinal structures a phantom holds."""

from __future__ import annotations

from nnunet_textguided.spine import SPINE_STRUCTURES

CODES: dict[str, int] = {name: code for code, name in enumerate(SPINE_STRUCTURES, start=1)}
"""Structure name -> voxel value, 1 to 19; 0 is background."""

VERTEBRAE: tuple[str, ...] = tuple(name for name in SPINE_STRUCTURES if "/" not in name)
"""The sacrum and the vertebrae, from below: S, L5, ... T9."""

DISCS: tuple[str, ...] = tuple(name for name in SPINE_STRUCTURES if "/" in name)
"""The discs, from below: L5/S, L4/L5, ... T9/T10."""

BOTTOM_UP: tuple[str, ...] = tuple(name for pair in zip(VERTEBRAE, (*DISCS, ""), strict=True) for name in pair if name)
"""The structures in the order in which they stand on each other: S, L5/S, L5, L4/L5, ... T9."""

CANAL, CANAL_CODE = "canal", 20
"""Name and voxel value of the spinal canal in datasets that keep it."""
