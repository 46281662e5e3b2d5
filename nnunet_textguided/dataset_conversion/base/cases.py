"""One case of a conversion: what it is made from, what it becomes, and how it is written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.base.geometry import Geometry, resample_onto, to_canonical, write_volume
from nnunet_textguided.dataset_conversion.base.manifest import ACCEPTED
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.base.target import FILE_ENDING, IMAGES, LABELS
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import file_sha256
from nnunet_textguided.findings.annotations import Annotation


@dataclass
class LoadedCase:
    """A case in memory.

    Attributes:
        channels: Images on one grid.
        label_map: Target codes (uint8) on that grid.
        about: More entries of the case's record in the manifest; JSON-ready.
        notes: Decisions and things left out, one sentence each.
        findings: What is known of it besides the mask.
    """

    channels: list[sitk.Image]
    label_map: sitk.Image
    about: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: list[Annotation] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class CaseTask(ABC):
    """One case to convert; every data set says how its cases are read.

    Attributes:
        case: nnU-Net's case identifier.
        patient: Whose it is; cases of one patient stay on one side of a split.
        source: Folder the manifest names files relative to.
        target: nnUNet_raw/DatasetXXX_Name.
        previous: The record of an earlier run, used again if nothing changed.
    """

    case: str
    patient: str
    source: Path
    target: Path
    previous: dict[str, Any] | None = None

    @abstractmethod
    def fingerprint(self) -> dict[str, str]:
        """Return what the case is made from, name -> SHA-256; equal ones make equal cases."""

    @abstractmethod
    def load(self) -> LoadedCase:
        """Read the case.

        Raises:
            CaseError: Its own data are at fault.
        """

    def relative(self, path: Path) -> str:
        """Name a file as the manifest does.

        Args:
            path: Of the source.
        """
        return path.relative_to(self.source).as_posix() if path.is_relative_to(self.source) else str(path)


def convert_case(task: CaseTask, write: bool = True) -> dict[str, Any]:
    """Read a case and write its images and its label map.

    Args:
        task: What to convert.
        write: False only reads and checks.

    Returns:
        The case's record for the manifest.

    Raises:
        CaseError: The case's own data are at fault; the text starts with the case.
        UserError: Nothing can be written.
    """
    try:
        sources = task.fingerprint()
        if _is_done(task, sources):
            return dict(task.previous or {})
        if ACCEPTED in (task.previous or {}):
            raise CaseError(
                "its source, or what was written of it, changed since its mask was accepted; nothing was touched. To "
                "convert it anew, remove its label map and its entry in manifest.json, then accept the mask again"
            )
        loaded = task.load()
        record = {
            "patient": task.patient,
            "sources": sources,
            "geometry": Geometry.of(loaded.channels[0]).as_dict(),
            **loaded.about,
        }
        if loaded.notes:
            record["notes"] = loaded.notes
        if loaded.findings:
            record["findings"] = [as_line(finding) for finding in loaded.findings]
        record["files"] = _write(task, loaded) if write else {}
        return record
    except CaseError as problem:
        raise CaseError(f"{task.case}: {problem}") from problem
    except (RuntimeError, MemoryError) as error:  # ITK reports whatever it does not like as RuntimeError
        raise CaseError(f"{task.case}: conversion failed: {str(error).strip() or type(error).__name__}") from error


def on_one_grid(images: dict[str, sitk.Image]) -> tuple[list[sitk.Image], dict[str, float]]:
    """Resample the channels onto the grid of the first, by physical position.

    Args:
        images: Name -> image, one a channel.

    Returns:
        The channels, and name -> share of the first one's voxels that each later channel covers.

    Raises:
        CaseError: A channel lies elsewhere in space.
    """
    (first, reference), *others = images.items()
    channels, covered_by = [reference], {}
    for name, image in others:
        channel, covered = resample_onto(image, reference)
        if covered == 0.0:
            raise CaseError(f"{name} and {first} do not overlap in space, so they cannot be one case")
        channels.append(channel)
        covered_by[name] = round(covered, 4)
    return channels, covered_by


def label_everywhere(image: sitk.Image, code: int) -> sitk.Image:
    """Return a label map of one code: nnU-Net's ignore label says that nothing of a case is annotated.

    Args:
        image: Whose grid to take.
        code: The label.
    """
    label_map = sitk.Image(image.GetSize(), sitk.sitkUInt8) + code
    label_map.CopyInformation(image)
    return label_map


def hash_file(path: Path) -> str:
    """SHA-256 of a source file.

    Args:
        path: The file.

    Raises:
        CaseError: It cannot be read.
    """
    try:
        return file_sha256(path)
    except UserError as error:
        raise CaseError(str(error)) from error


def as_line(finding: Annotation) -> str:
    """Write a finding for the manifest: structure, finding, present, and x, y, z in mm where it is marked."""
    point = [] if finding.point_mm is None else [f"{value:.2f}" for value in finding.point_mm]
    return ",".join([finding.structure, finding.finding, str(finding.present), *point])


def from_line(case: str, line: str) -> Annotation:
    """Read what `as_line` wrote.

    Args:
        case: Case identifier.
        line: Of its record.

    Raises:
        UserError: It is no such line.
    """
    try:
        structure, finding, present, *point = line.split(",")
        if not point:
            return Annotation(case, structure, finding, int(present), None)
        x, y, z = map(float, point)
        return Annotation(case, structure, finding, int(present), (x, y, z))
    except ValueError as error:
        raise UserError(
            f"manifest.json, {case}: expected a finding as structure,finding,present,x,y,z, got {line[:80]!r}. Remove "
            "the case's entry to have it converted anew."
        ) from error


def _write(task: CaseTask, loaded: LoadedCase) -> dict[str, int]:
    """Write label map and channels; return each file's name in the data set with its bytes."""
    contents = {f"{LABELS}/{task.case}{FILE_ENDING}": loaded.label_map}
    for index, channel in enumerate(loaded.channels):
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
    if task.previous is None or task.previous.get("sources") != sources:
        return False
    files = task.previous.get("files", {})
    return bool(files) and all(
        (task.target / name).is_file() and (task.target / name).stat().st_size == files[name] for name in files
    )
