"""Tells label maps from images, so that nobody pretrains on segmentations by mistake."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.scan import Scan
from nnunet_textguided.pretraining.slices import read_slice

LABEL_FOLDERS = ("labelstr", "labelsts", "labels", "label", "masks", "mask", "segmentations", "gt_segmentations")
MOST_CODES = 48
"""Different values of a slice of labels at most: 19 structures and more; 8-bit images have more than that."""
_LOOKED_AT = 8


def is_label_folder(path: Path) -> bool:
    """Whether a folder's name says that it holds labels.

    Args:
        path: A folder.
    """
    return path.name.lower() in LABEL_FOLDERS


def refuse_labels(scans: list[Scan]) -> None:
    """Look into some of the scans.

    Args:
        scans: All; the middle slice of a few is read.

    Raises:
        UserError: One of them holds few whole numbers only, and not noise as images do.
    """
    for place in np.unique(np.linspace(0, len(scans) - 1, _LOOKED_AT).round().astype(int)):
        scan = scans[place]
        try:
            values = read_slice(scan, scan.num_slices // 2)
        except UserError:
            continue  # a slice that cannot be read is dealt with where it is drawn
        codes = np.unique(values)
        if 1 < len(codes) <= MOST_CODES and np.array_equal(codes, codes.round()) and _mostly_flat(values):
            raise UserError(
                f"{scan.files[0]} looks like labels and not like an image: its middle slice holds {len(codes)} whole "
                f"numbers from {codes[0]:g} to {codes[-1]:g}, in flat areas. Give the folder of the images."
            )


def _mostly_flat(values: np.ndarray) -> bool:
    """Whether four of five neighbours are equal, along rows and along columns, background left out."""
    return all(_share_of_equal(np.moveaxis(values, axis, -1)) > 0.8 for axis in (1, 2))


def _share_of_equal(values: np.ndarray) -> float:
    here, there = values[..., :-1], values[..., 1:]
    inside = (here != 0) | (there != 0)
    return float((here == there)[inside].mean()) if inside.any() else 0.0
