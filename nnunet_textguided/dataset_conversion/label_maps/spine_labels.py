"""The spine label set every converted data set shares; pure Python."""

from __future__ import annotations

from collections.abc import Sequence

from nnunet_textguided.spine import SPINE_STRUCTURES

CANAL_NAME = "canal"
CANAL_CODE = len(SPINE_STRUCTURES) + 1
IGNORE_NAME = "ignore"
BACKGROUND_NAME = "background"


def spine_labels(canal: bool = False, ignore: bool = False, extra: Sequence[str] = ()) -> dict[str, int]:
    """Return the `labels` entry of dataset.json: consecutive codes, and nnU-Net's ignore label last if asked for.

    The codes 1 to 19 are MRSpineSeg's: vertebrae and then discs, each from below upwards.

    Args:
        canal: Whether the spinal canal is a class (code 20).
        ignore: Whether voxels may be marked as not to be learned from.
        extra: Further structures, such as L6; they follow the others.
    """
    names = [BACKGROUND_NAME, *SPINE_STRUCTURES]
    if canal:
        names.append(CANAL_NAME)
    names.extend(extra)
    if ignore:
        names.append(IGNORE_NAME)
    return {name: code for code, name in enumerate(names)}
