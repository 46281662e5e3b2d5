"""One study: its files, its series, and the sagittal stack of a weighting."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.dicom.header import SliceHeader, read_slice_header
from nnunet_textguided.dataset_conversion.dicom.parse import has_magic
from nnunet_textguided.dataset_conversion.dicom.pixels import read_pixels
from nnunet_textguided.dataset_conversion.dicom.stack import SAGITTAL, Stack, stacks_of
from nnunet_textguided.dataset_conversion.dicom.weighting import is_fat_suppressed, weighting

_DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}
_INDEX = "DICOMDIR"


def find_dicom_files(folder: Path, inside: Path) -> tuple[list[Path], list[str]]:
    """List the DICOM files under a folder, known by their suffix, else by the letters DICM at byte 128.

    Args:
        folder: Where to look, sub-folders included.
        inside: Links that lead out of this folder are not followed.

    Returns:
        The files in order, and a line on every link left out. Other files and DICOMDIR are passed over.
    """
    root = Path(os.path.realpath(inside))
    problems: list[str] = []
    if not _leads_inside(Path(folder), root, problems):
        return [], problems
    files = [path for path in _walk(Path(folder), root, {os.path.realpath(folder)}, problems) if _is_dicom(path)]
    return sorted(files), problems


def read_study(files: Iterable[Path]) -> tuple[dict[str, list[SliceHeader]], dict[str, str]]:
    """Read the headers of a study's files and sort them into series.

    Args:
        files: DICOM files.

    Returns:
        SeriesInstanceUID (else the file's folder) to its slices, and file to what is wrong with it.
    """
    series: dict[str, list[SliceHeader]] = {}
    problems: dict[str, str] = {}
    for path in files:
        try:
            header = read_slice_header(path)
        except CaseError as problem:
            problems[str(path)] = str(problem)
        else:
            series.setdefault(header.series or str(path.parent), []).append(header)
    return series, problems


def stacks_of_study(
    series: Mapping[str, Sequence[SliceHeader]], plane: str | None = None
) -> tuple[list[Stack], list[str]]:
    """Sort every series of a study into stacks.

    Args:
        series: As `read_study` returns them.
        plane: Keep stacks of this plane, and notes on series that have some; None keeps all.

    Returns:
        The stacks of all series that make some, and notes, among them why a series makes none.
    """
    stacks: list[Stack] = []
    notes: list[str] = []
    for headers in series.values():
        try:
            found, said = stacks_of(headers)
        except CaseError as problem:
            notes.append(f"left out {problem}")
            continue
        kept = [stack for stack in found if plane in (None, stack.plane)]
        stacks += kept
        notes += said if kept else []
    return stacks, notes


def choose_sagittal(stacks: Iterable[Stack], wanted: str) -> tuple[Stack, list[str]]:
    """Choose a study's sagittal stack of a weighting, as the headers tell it.

    Args:
        stacks: Of one study.
        wanted: T1 or T2.

    Returns:
        The stack, and a note on every decision between several.

    Raises:
        CaseError: There is none; the text lists what there is.
    """
    stacks = list(stacks)
    left = [stack for stack in stacks if stack.plane == SAGITTAL and weighting(stack) == wanted]
    if not left:
        found = [f"{stack.name}: {stack.plane}, {weighting(stack) or 'neither T1 nor T2'}" for stack in stacks]
        listed = "; ".join(found) or "no series with a regular grid"
        raise CaseError(f"expected a sagittal {wanted} series, found {listed}")
    stack, notes = best_of(left, wanted)
    chosen = stack.slices[0]
    if weighting(replace(chosen, echo_time=None)) is None:
        notes.append(f"sagittal {wanted}: {stack.name} is taken for it by its echo time, {chosen.echo_time:.4g} ms")
    return stack, notes


def best_of(stacks: Sequence[Stack], wanted: str) -> tuple[Stack, list[str]]:
    """Choose one of several stacks of a weighting.

    Without fat suppression before with it, then most slices, then finest pixels. Where stacks are still equal, as
    where no description speaks of fat suppression, the brighter one: the rule that public code for Tianchi's data has
    for leaving out fat-suppressed series, applied to the middle slices.

    Args:
        stacks: One or more.
        wanted: What they are called in the notes.

    Returns:
        The stack, and a note on every decision between several.
    """
    left = list(stacks)
    notes: list[str] = []
    for reason, measure in _PREFERENCES:
        if len(left) == 1:
            break
        values = [measure(stack) for stack in left]
        best = [stack for stack, value in zip(left, values, strict=True) if value == max(values)]
        dropped = [stack.name for stack, value in zip(left, values, strict=True) if value < max(values)]
        if dropped:
            notes.append(f"sagittal {wanted}: left out {', '.join(dropped)} for one {reason}")
        left = best
    if len(left) > 1:
        notes.append(f"sagittal {wanted}: {len(left)} stacks are alike; took the first, {left[0].name}")
    return left[0], notes


def _middle_brightness(stack: Stack) -> float:
    return float(read_pixels(stack.slices[len(stack.slices) // 2]).mean())


_PREFERENCES: tuple[tuple[str, Callable[[Stack], float]], ...] = (
    ("without fat suppression", lambda stack: not is_fat_suppressed(stack)),
    ("of more slices", lambda stack: len(stack.slices)),
    ("of finer pixels", lambda stack: -max(stack.spacing[:2])),
    ("whose middle slice is brighter", _middle_brightness),
)


def _walk(folder: Path, root: Path, seen: set[str], problems: list[str]) -> Iterator[Path]:
    """Go through a folder and what its links inside `root` lead to, each folder once."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        problems.append(f"{folder}: cannot be read: {error.strerror}")
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith(".") or (entry.is_symlink() and not _leads_inside(path, root, problems)):
            continue
        if entry.is_file():
            yield path
        elif entry.is_dir() and (real := os.path.realpath(path)) not in seen:
            seen.add(real)
            yield from _walk(path, root, seen, problems)


def _leads_inside(path: Path, root: Path, problems: list[str]) -> bool:
    """Tell whether a path exists and, all links followed, lies in `root`; add a line where it does not."""
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(root):
        problems.append(f"{path}: leads out of {root}; left out")
    elif not real.exists():
        problems.append(f"{path}: leads to nothing; left out")
    else:
        return True
    return False


def _is_dicom(path: Path) -> bool:
    if path.name.upper() == _INDEX:
        return False
    try:
        return path.suffix.lower() in _DICOM_SUFFIXES or has_magic(path)
    except OSError:  # no permission: said where a DICOM suffix gets it read
        return False
