"""Stacks: parallel slices on a regular grid, each of which makes one volume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.dicom.grouping import (
    alike_slices,
    axes_of,
    lines_of_slices,
    name_of,
    numbered,
    without_copies,
)
from nnunet_textguided.dataset_conversion.dicom.header import SliceHeader, Vector

SAGITTAL, CORONAL, AXIAL, OBLIQUE = "sagittal", "coronal", "axial", "oblique"
_PLANES = (SAGITTAL, CORONAL, AXIAL)  # by the world axis that the normal lies nearest to: x, y, z
_PLANE_COSINE = 0.75  # as public code for Tianchi's data has it (wolaituodiban/spinal_detection_baseline)
_GAP = 1.5  # times the median distance: from here on a slice is missing in between
_JITTER = 0.1  # of the median distance, by which distances may differ without a word
_MISPLACED = 0.25  # of the distance between slices, by which a slice may be off the regular grid
_THICKNESS_UNKNOWN = 1.0  # mm, of a slice that is alone


@dataclass(frozen=True)
class Stack:
    """Parallel slices of one size, pixel spacing and echo.

    Attributes:
        slices: In order along the normal, row x column, so that x, y, z are right-handed.
    """

    slices: tuple[SliceHeader, ...]

    @cached_property
    def orientation(self) -> np.ndarray:
        """World directions of x (growing column index), y (growing row index) and z, as the columns of a matrix."""
        return axes_of(self.slices[0])

    @property
    def plane(self) -> str:
        """Sagittal, coronal or axial; oblique where the normal is near none of the world's axes."""
        normal = np.abs(self.orientation[:, 2])
        return _PLANES[int(normal.argmax())] if normal.max() > _PLANE_COSINE else OBLIQUE

    @cached_property
    def heights(self) -> np.ndarray:
        """Position of every slice along the normal, mm."""
        return np.array([header.position for header in self.slices]) @ self.orientation[:, 2]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Mm between columns, rows and slices; the last from their positions, of a single slice its thickness."""
        if len(self.slices) > 1:
            between = float(self.heights[-1] - self.heights[0]) / (len(self.slices) - 1)
        else:
            between = self.slices[0].thickness or _THICKNESS_UNKNOWN
        return (*self.slices[0].spacing, between)

    @property
    def origin(self) -> Vector:
        """World position of the first pixel of the first slice, mm."""
        return self.slices[0].position

    @property
    def size(self) -> tuple[int, int, int]:
        """Columns, rows and slices."""
        return (*self.slices[0].size, len(self.slices))

    @property
    def description(self) -> str:
        """SeriesDescription."""
        return self.slices[0].description

    @property
    def name(self) -> str:
        """The series, as messages call it."""
        return name_of(self.slices[0])


def stacks_of(headers: Iterable[SliceHeader]) -> tuple[list[Stack], list[str]]:
    """Sort the slices of ONE series into stacks: one an orientation, size, pixel spacing and echo.

    Parallel slices that are not above each other, or lie apart, as blocks of axial slices at several discs do, make a
    stack a block. In a sagittal series, which covers the spine in one block, a gap is an error.

    Args:
        headers: The slices, in any order.

    Returns:
        The stacks, and notes on what is unusual in them.

    Raises:
        CaseError: Slices are missing, unevenly spaced or drift sideways, or different images claim one position.
    """
    stacks: list[Stack] = []
    notes: list[str] = []
    for group in alike_slices(headers):
        lines = lines_of_slices(group)
        _check_not_sheared(lines)
        for line in lines:
            slices, copies = without_copies(line)
            notes += copies
            for block in _blocks(Stack(tuple(slices)), notes):
                _check_even(block, notes)
                stacks.append(block)
    return stacks, notes + _repeated_numbers(stacks)


def _check_not_sheared(lines: Sequence[Sequence[SliceHeader]]) -> None:
    """Refuse sagittal slices that drift sideways: on a rectangular grid most of them would be misplaced."""
    if len(lines) > 1 and Stack(tuple(lines[0])).plane == SAGITTAL and min(map(len, lines)) == 1:
        places = " and ".join(f"{numbered(line[0])} at {line[0].position}" for line in lines[:2])
        raise CaseError(
            f"{name_of(lines[0][0])}: parallel slices are not above each other, such as {places}: they make no "
            "rectangular grid; leave the series out"
        )


def _blocks(stack: Stack, notes: list[str]) -> list[Stack]:
    """Cut a stack where slices lie apart."""
    if len(stack.slices) == 1:
        return [stack]
    distances, usual = np.diff(stack.heights), _median_distance(stack)
    gaps = np.flatnonzero(distances > _GAP * usual)
    if not len(gaps):
        return [stack]
    listed = ", ".join(
        f"{distances[i]:.4g} mm between {numbered(stack.slices[i])} and {numbered(stack.slices[i + 1])}" for i in gaps
    )
    gap = f"{stack.name}: slices lie {usual:.4g} mm apart, but {listed}"
    if stack.plane == SAGITTAL:
        raise CaseError(f"{gap}: slices are missing; fetch the series again, or leave it out")
    notes.append(f"{gap}: taken as {len(gaps) + 1} blocks")
    edges = [0, *(gaps + 1), len(stack.slices)]
    return [Stack(stack.slices[start:end]) for start, end in pairwise(edges)]


def _median_distance(stack: Stack) -> float:
    """Return the median distance between neighbours; of an even number of them the smaller middle one.

    So a gap is seen also where one of two distances is it.
    """
    return float(np.quantile(np.diff(stack.heights), 0.5, method="lower"))


def _check_even(stack: Stack, notes: list[str]) -> None:
    """Refuse a stack whose slices are far from a regular grid, and note what is a little off or not known."""
    if len(stack.slices) == 1:
        given = "its SliceThickness" if stack.slices[0].thickness else "unknown, so taken as"
        notes.append(
            f"{stack.name}: {numbered(stack.slices[0])} is a stack of one slice, its depth {given} "
            f"{stack.spacing[2]:.4g} mm"
        )
        return
    distances, between = np.diff(stack.heights), stack.spacing[2]
    grid = stack.heights[0] + between * np.arange(len(stack.slices))
    worst = int(np.abs(stack.heights - grid).argmax())
    misplaced = abs(stack.heights[worst] - grid[worst])
    uneven = f"{stack.name}: slices lie {distances.min():.4g} to {distances.max():.4g} mm apart"
    if misplaced > _MISPLACED * between:
        raise CaseError(
            f"{uneven}, {numbered(stack.slices[worst])} {misplaced:.2g} mm off a regular grid: slices are missing or "
            "mixed up; fetch the series again, or leave it out"
        )
    if np.abs(distances / _median_distance(stack) - 1).max() > _JITTER:
        notes.append(f"{uneven}; placed evenly at {between:.4g} mm, at most {misplaced:.2g} mm off")


def _repeated_numbers(stacks: Sequence[Stack]) -> list[str]:
    """Note instance numbers that several slices of a stack share: harmless, as positions order them."""
    notes = []
    for stack in stacks:
        times = Counter(header.number for header in stack.slices if header.number is not None)
        repeated = ", ".join(str(number) for number, count in sorted(times.items()) if count > 1)
        if repeated:
            notes.append(f"{stack.name}: several slices have instance number {repeated}; ordered by their positions")
    return notes
