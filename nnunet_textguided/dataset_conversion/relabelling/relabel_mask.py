"""Replacing the label codes of one mask file; its grid stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.base.codes import count_codes, map_codes
from nnunet_textguided.dataset_conversion.base.geometry import write_volume
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.label_maps.label_map import LabelMap
from nnunet_textguided.dataset_conversion.label_maps.levels import NO_LEVELS, check_lumbar, level_warnings
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import BACKGROUND_NAME, IGNORE_NAME
from nnunet_textguided.dataset_conversion.label_maps.spineps import SACRUM
from nnunet_textguided.dataset_conversion.label_maps.spineps_instances import instance_map
from nnunet_textguided.dataset_conversion.label_maps.table import Choices, Table, build_table
from nnunet_textguided.errors import UserError
from nnunet_textguided.image_headers import read_image


@dataclass(frozen=True)
class Relabelling:
    """What is done to every mask.

    Attributes:
        source: The label map of the masks; None where SPINEPS's instances are to be counted in each.
        labels: Name to code of what is written.
        choices: The user's.
        lowest: For instances, the level of the lowest vertebra.
        strict: Refuse a mask that holds structures `labels` does not have.
    """

    source: LabelMap | None
    labels: Mapping[str, int]
    choices: Choices
    lowest: str | None = None
    strict: bool = False


def relabel_mask(source: Path, target: Path, job: Relabelling) -> dict[str, Any]:
    """Write one mask with other codes.

    Args:
        source: The mask.
        target: The file to write, whose ending says the format.
        job: What to do.

    Returns:
        Its record: `codes`, source code to name, target code and voxels, and `warnings`.

    Raises:
        CaseError: This mask cannot be relabelled as asked for.
        UserError: Nothing can be written.
    """
    image, codes = read_codes(source)
    counts = count_codes(codes)
    label_map, warnings = _label_map_of(image, codes, job)
    table = build_table(label_map, job.labels, job.choices, counts)
    mapped = _mapped(codes, counts, table, label_map)
    warnings += _check_levels(counts, table, label_map)
    warnings += _losses(counts, table, job)
    relabelled = sitk.GetImageFromArray(mapped)
    relabelled.CopyInformation(image)
    write_volume(relabelled, target)
    record = {
        str(code): {"name": table.names[code], "to": table.codes[code], "voxels": voxels}
        for code, voxels in counts.items()
    }
    return {"codes": record, "warnings": warnings}


def read_codes(path: Path) -> tuple[sitk.Image, np.ndarray]:
    """Read a mask, 2D or 3D, whatever the type of its voxels.

    Args:
        path: Any file SimpleITK reads.

    Returns:
        The image, untouched, and its values as integers (D, H, W), or (H, W) in 2D.

    Raises:
        CaseError: Unreadable, cut short, more than one value a voxel, or values that are not label codes.
    """
    try:
        image = read_image(path)
    except UserError as error:
        raise CaseError(f"cannot be read as an image, is it damaged or incomplete? ({error})") from error
    if image.GetDimension() not in (2, 3) or image.GetNumberOfComponentsPerPixel() != 1:
        raise CaseError(
            f"expected a mask in 2D or 3D with one value a voxel, got {image.GetDimension()}D with size "
            f"{image.GetSize()} and {image.GetNumberOfComponentsPerPixel()} values a voxel"
        )
    values = sitk.GetArrayFromImage(image)
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 2**31)
        if not whole.all():
            some = ", ".join(f"{value:g}" for value in np.unique(values[~whole])[:3])
            raise CaseError(f"expected label codes, got values that are not whole numbers, such as {some}")
    keep = values.dtype.kind in "iu" and values.dtype.itemsize < 8
    return image, values if keep else values.astype(np.int64)


def heights(image: sitk.Image, codes: np.ndarray) -> dict[int, float]:
    """Return where the centre of each code lies along the feet-head axis of the world.

    Args:
        image: For its grid, in LPS.
        codes: Its values (D, H, W).

    Returns:
        Code to mm towards the head; 0 (background) is left out.
    """
    places = np.nonzero(codes)
    labels = codes[places]
    found, index, numbers = np.unique(labels, return_inverse=True, return_counts=True)
    height = np.full(len(found), image.GetOrigin()[2])
    for axis, place in enumerate(reversed(places)):
        step = image.GetDirection()[6 + axis] * image.GetSpacing()[axis]
        height += step * np.bincount(index, weights=place, minlength=len(found)) / numbers
    return dict(zip(found.tolist(), height.tolist(), strict=True))


def _label_map_of(image: sitk.Image, codes: np.ndarray, job: Relabelling) -> tuple[LabelMap, list[str]]:
    if job.source is not None:
        return job.source, []
    if image.GetDimension() != 3:
        raise CaseError("instances can only be counted in a 3D mask, this one is 2D")
    sacrum = {code for code, name in job.choices.codes.items() if name == "S"} | {SACRUM}
    return instance_map(heights(image, codes), job.lowest, sacrum)


def _mapped(codes: np.ndarray, counts: Mapping[int, int], table: Table, label_map: LabelMap) -> np.ndarray:
    """Map the codes; undecided ones are reported by name, all other unknown ones with the map's hint."""
    undecided = {code: name for code, name in table.undecided.items() if code in counts}
    if undecided:
        found = ", ".join(f"code {code} is {name} ({counts[code]} voxels)" for code, name in undecided.items())
        example = next(iter(undecided))
        raise CaseError(
            f"transitional anatomy, which the target does not have: {found}. Choose --transitional keep (labels of "
            f"their own), ignore or background, or say what each is, such as --map {example}=background"
        )
    try:
        return map_codes(codes, {**table.codes, **dict.fromkeys(table.undecided, 0)})[0]
    except CaseError as problem:
        raise CaseError(f"{problem}. {label_map.hint}".rstrip(". ")) from problem


def _check_levels(counts: Mapping[int, int], table: Table, label_map: LabelMap) -> list[str]:
    """Refuse a mask that holds none of our structures or levels that cannot be; return what is doubtful."""
    present = [code for code in counts if code != 0]
    if not present:
        return ["holds background only"]
    if all(table.codes[code] == 0 for code in present):
        raise CaseError(f"none of its codes becomes a structure: {', '.join(map(str, present))}. {NO_LEVELS}")
    meant = {**label_map.background, **label_map.names_in(counts)}
    found = {table.names[code] if table.codes[code] != 0 else meant.get(code, "") for code in present}
    check_lumbar(found)
    return level_warnings(found)


def _losses(counts: Mapping[int, int], table: Table, job: Relabelling) -> list[str]:
    """Say which structures the target does not have and which of the user's choices meet another code."""
    dropped = {code: name for code, name in table.dropped.items() if code in counts}
    listed = ", ".join(f"{name} (code {code}, {counts[code]} voxels)" for code, name in dropped.items())
    if dropped and job.strict:
        raise CaseError(f"the target does not have {listed}, and --strict asks for all structures")
    warnings = [f"the target does not have {listed}: background now"] if dropped else []
    for code, name in job.choices.codes.items():
        others = [other for other in counts if other != code and table.names[other] == name]
        if code in counts and others and name not in (BACKGROUND_NAME, IGNORE_NAME):
            warnings.append(f"codes {code} and {', '.join(map(str, others))} both become {name}, by your choice")
    return warnings
