"""Counting and replacing the label codes of masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nnunet_textguided.dataset_conversion.base.problems import CaseError

if TYPE_CHECKING:
    import numpy as np

LARGEST_CODE = 65535


def count_codes(codes: np.ndarray) -> dict[int, int]:
    """Return the number of voxels of each code that occurs, in the order of the codes.

    Args:
        codes: Integer mask of any shape.
    """
    import numpy as np

    if codes.size == 0:
        return {}
    if codes.min() < 0 or codes.max() > LARGEST_CODE:
        values, numbers = np.unique(codes, return_counts=True)
        return dict(zip(values.tolist(), numbers.tolist(), strict=True))
    numbers = np.bincount(codes.ravel())
    return {int(code): int(numbers[code]) for code in np.flatnonzero(numbers)}


def map_codes(codes: np.ndarray, table: Mapping[int, int]) -> tuple[np.ndarray, dict[int, int]]:
    """Replace every source code by its target code.

    Args:
        codes: Integer mask of any shape.
        table: Source code to target code (0 to 65535); holds every allowed source code, background too.

    Returns:
        The mapped mask (uint8, or uint16 where the table has a target above 255; same shape), and the number of
        voxels of each source code that occurs.

    Raises:
        CaseError: A code is not in the table; the text lists all such codes with their numbers of voxels.
    """
    import numpy as np

    counts = count_codes(codes)
    unknown = {code: voxels for code, voxels in counts.items() if code not in table}
    if unknown:
        found = ", ".join(f"{code} ({voxels} voxels)" for code, voxels in unknown.items())
        raise CaseError(f"unknown label code {found}; known codes are {_as_ranges(table)}")
    lookup = np.zeros(max(counts, default=0) + 1, dtype=np.min_scalar_type(max(table.values(), default=0)))
    for code in counts:
        lookup[code] = table[code]
    return lookup[codes], counts


def _as_ranges(codes: Mapping[int, int]) -> str:
    """Write codes as `0-25, 100-125`."""
    ranges: list[list[int]] = []
    for code in sorted(codes):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
