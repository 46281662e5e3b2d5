"""The 19 spinal structures that every converted spine data set has in common."""

SPINE_VERTEBRAE: tuple[str, ...] = ("S", "L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9")
SPINE_DISCS: tuple[str, ...] = ("L5/S", "L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1", "T11/T12", "T10/T11", "T9/T10")
"""Both from the sacrum upwards."""
SPINE_STRUCTURES: tuple[str, ...] = (*SPINE_VERTEBRAE, *SPINE_DISCS)
"""In channel order: label codes 1 to 19."""
