"""Which slices of a series belong together: parallel, of one kind, and above each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.dicom.header import SliceHeader
from nnunet_textguided.dataset_conversion.dicom.pixels import same_pixels

_PARALLEL = 1e-3  # largest difference of a direction cosine (0.06 degrees); between RSNA's axial blocks it is 8e-3
_SAME_SPACING = 1e-3  # relative
_SIDEWAYS = 0.25  # of a pixel, that a slice may lie off the line along the first one's normal
_SAME_POSITION = 0.05  # mm along the normal


def axes_of(header: SliceHeader) -> np.ndarray:
    """Return the orthonormal axes nearest to a header's rounded ones, as the columns of a matrix (3, 3).

    Args:
        header: A slice.
    """
    row, column = np.array(header.row), np.array(header.column)
    left, _, right = np.linalg.svd(np.stack([row, column, np.cross(row, column)], axis=1))
    return left @ right


def name_of(header: SliceHeader) -> str:
    """Return how messages call the series of a slice.

    Args:
        header: Any slice of it.
    """
    return f"series {header.series or header.path.parent}" + (f" ({header.description})" if header.description else "")


def numbered(header: SliceHeader) -> str:
    """Return how messages call a slice within its series.

    Args:
        header: The slice.
    """
    return header.path.name if header.number is None else f"instance {header.number}"


def alike_slices(headers: Iterable[SliceHeader]) -> list[list[SliceHeader]]:
    """Sort slices into groups that are parallel and of one size, pixel spacing and echo.

    Args:
        headers: The slices of one series.
    """
    return _grouped(headers, _alike)


def lines_of_slices(group: Iterable[SliceHeader]) -> list[list[SliceHeader]]:
    """Sort alike slices into lines of slices that are above each other.

    Args:
        group: Parallel slices.

    Returns:
        The lines, each in order along its normal, copies by number and file.
    """
    return [_in_order(line) for line in _grouped(group, _in_line)]


def without_copies(line: Sequence[SliceHeader]) -> tuple[list[SliceHeader], list[str]]:
    """Keep one slice at every position.

    Args:
        line: In order along the normal.

    Returns:
        The slices kept, and a note on those left out, if any.

    Raises:
        CaseError: Different images claim one position.
    """
    normal = axes_of(line[0])[:, 2]
    kept: list[SliceHeader] = []
    copies: list[SliceHeader] = []
    for header in line:
        if not kept or normal @ np.subtract(header.position, kept[-1].position) > _SAME_POSITION:
            kept.append(header)
        elif (header.instance and header.instance == kept[-1].instance) or same_pixels(header, kept[-1]):
            copies.append(header)
        else:
            raise CaseError(
                f"{name_of(header)}: different images at one position, {header.position}: {kept[-1].path} and "
                f"{header.path}; several acquisitions in one series? Keep the files of one of them"
            )
    listed = ", ".join(str(header.path) for header in copies)
    return kept, [f"{name_of(line[0])}: left out copies of slices: {listed}"] if copies else []


def _grouped(
    headers: Iterable[SliceHeader], belong: Callable[[SliceHeader, SliceHeader], bool]
) -> list[list[SliceHeader]]:
    """Put every slice to the first group whose first slice it belongs to."""
    groups: list[list[SliceHeader]] = []
    for header in headers:
        group = next((group for group in groups if belong(group[0], header)), None)
        if group is None:
            groups.append([header])
        else:
            group.append(header)
    return groups


def _alike(first: SliceHeader, other: SliceHeader) -> bool:
    if (first.size, first.echo) != (other.size, other.echo):
        return False
    turned = np.abs(np.subtract(first.row + first.column, other.row + other.column)).max()
    rescaled = np.abs(np.divide(other.spacing, first.spacing) - 1).max()
    return bool(turned <= _PARALLEL and rescaled <= _SAME_SPACING)


def _in_line(first: SliceHeader, other: SliceHeader) -> bool:
    sideways = axes_of(first)[:, :2].T @ np.subtract(other.position, first.position)
    return bool(np.hypot(*sideways) <= _SIDEWAYS * min(first.spacing))


def _in_order(line: list[SliceHeader]) -> list[SliceHeader]:
    normal = axes_of(line[0])[:, 2]
    heights = {id(header): round(float(normal @ np.array(header.position)), 2) for header in line}
    return sorted(line, key=lambda header: (heights[id(header)], header.number or 0, str(header.path)))
