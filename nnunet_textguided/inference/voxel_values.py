"""Which values of an image no network can use.

nnU-Net normalises an image by its mean and standard deviation, in float32. One voxel that is NaN or infinite makes all
of them NaN, every logit with them, and the prediction background everywhere, without a word.
"""

from __future__ import annotations

import numpy as np

from nnunet_textguided.errors import UserError

LARGEST_VALUE = 1e12
"""float32 ends at 3.4e38: the squares of larger values, added up over 1e14 voxels, would not fit."""


def bad_values(array: np.ndarray, name: str) -> str | None:
    """Say what is wrong with an image's values; None if nothing is.

    Args:
        array: Voxels, of any shape and real type.
        name: File or array, for the text.
    """
    if not np.issubdtype(array.dtype, np.floating) and array.dtype.itemsize <= 4:
        return None
    # NaN compares as false; an image is looked through slab by slab, so that no second array of its size is made
    good = sum(int(np.count_nonzero(np.abs(slab) <= LARGEST_VALUE)) for slab in array)
    if good == array.size:
        return None
    return (
        f"{name}: {array.size - good} of {array.size} voxels are NaN, infinite or beyond {LARGEST_VALUE:g}, and would "
        "make the whole image NaN when it is normalised"
    )


def check_values(array: np.ndarray, name: str) -> None:
    """Refuse an image that normalisation would turn into NaN.

    Args:
        array: Voxels, of any shape and real type.
        name: File or array, for the text.

    Raises:
        UserError: Values that are NaN, infinite or beyond `LARGEST_VALUE`.
    """
    problem = bad_values(array, name)
    if problem is not None:
        raise UserError(f"{problem}. Put numbers in their place (numpy.nan_to_num), or leave the image out.")
