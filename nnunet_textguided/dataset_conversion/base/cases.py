"""Converting one case: read, check, map the codes, turn into the canonical orientation, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.base.geometry import (
    Geometry,
    check_same_grid,
    read_mask,
    read_volume,
    resample_onto,
    to_canonical,
    write_volume,
)
from nnunet_textguided.dataset_conversion.base.manifest import sha256_of
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.base.target import FILE_ENDING, IMAGES, LABELS
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import map_codes


@dataclass(frozen=True)
class CaseTask:
    """One case to convert.

    Attributes:
        case: nnU-Net's case identifier.
        patient: Whose it is; cases of one patient stay on one side of a split.
        images: One file a channel; the first one's grid is the case's.
        mask: File with the source's label codes, on the grid of the first image.
        table: Source code to target code.
        source: Folder the manifest names files relative to.
        target: nnUNet_raw/DatasetXXX_Name.
        previous: The record of an earlier run, used again if nothing changed.
    """

    case: str
    patient: str
    images: tuple[Path, ...]
    mask: Path
    table: Mapping[int, int]
    source: Path
    target: Path
    previous: dict[str, Any] | None = field(default=None)


def convert_case(task: CaseTask) -> dict[str, Any]:
    """Write the images and the label map of one case.

    Args:
        task: What to convert.

    Returns:
        The case's record for the manifest.

    Raises:
        CaseError: The case's own data are at fault; the text starts with the case.
        UserError: Nothing can be written.
    """
    try:
        sources = {_relative(path, task.source): _hash(path) for path in (*task.images, task.mask)}
        if _is_done(task, sources):
            return dict(task.previous)
        return _convert(task, sources)
    except CaseError as problem:
        raise CaseError(f"{task.case}: {problem}") from problem
    except (RuntimeError, MemoryError) as error:  # ITK reports whatever it does not like as RuntimeError
        raise CaseError(f"{task.case}: conversion failed: {str(error).strip() or type(error).__name__}") from error


def _convert(task: CaseTask, sources: dict[str, str]) -> dict[str, Any]:
    first, mask = read_volume(task.images[0]), read_mask(task.mask)
    check_same_grid(first, mask, task.images[0], task.mask)
    codes, counts = map_codes(sitk.GetArrayViewFromImage(mask), task.table)
    label_map = sitk.GetImageFromArray(codes)
    label_map.CopyInformation(first)
    record = {
        "patient": task.patient,
        "sources": sources,
        "geometry": Geometry.of(first).as_dict(),
        "codes": {str(code): {"to": task.table[code], "voxels": voxels} for code, voxels in counts.items()},
    }
    channels = {task.images[0]: first}
    for path in task.images[1:]:
        channels[path], covered = resample_onto(read_volume(path), first)
        if covered == 0.0:
            raise CaseError(f"{path} and {task.images[0]} do not overlap in space, so they cannot be one case")
        record.setdefault("covered_by", {})[_relative(path, task.source)] = round(covered, 4)
    record["files"] = _write(task, list(channels.values()), label_map)
    return record


def _write(task: CaseTask, channels: list[sitk.Image], label_map: sitk.Image) -> dict[str, int]:
    """Write label map and channels; return each file's name in the data set with its bytes."""
    contents = {f"{LABELS}/{task.case}{FILE_ENDING}": label_map}
    for index, channel in enumerate(channels):
        contents[f"{IMAGES}/{task.case}_{index:04d}{FILE_ENDING}"] = _storable(channel)
    for name, image in contents.items():
        write_volume(to_canonical(image), task.target / name)
    return {name: (task.target / name).stat().st_size for name in contents}


def _storable(image: sitk.Image) -> sitk.Image:
    """Keep the pixel type unless it is wider than what nnU-Net computes with."""
    wide = (sitk.sitkFloat64, sitk.sitkInt64, sitk.sitkUInt64)
    return sitk.Cast(image, sitk.sitkFloat32) if image.GetPixelID() in wide else image


def _is_done(task: CaseTask, sources: dict[str, str]) -> bool:
    """Tell whether an earlier run made the case from these very files and its output is still whole."""
    if task.previous is None or task.previous["sources"] != sources:
        return False
    files = task.previous["files"]
    return all((task.target / name).is_file() and (task.target / name).stat().st_size == files[name] for name in files)


def _hash(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise CaseError(f"{path}: cannot be read ({error.strerror})") from error


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
