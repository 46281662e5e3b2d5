"""MRSpineSeg (Southern Medical University): MR/Case<N>.nii.gz and Mask/mask_case<N>.nii.gz, T2, 19 structures."""

from __future__ import annotations

from pathlib import Path

from nnunet_textguided.dataset_conversion.base.conversion import RunSettings, run_conversion
from nnunet_textguided.dataset_conversion.base.description import DatasetDescription
from nnunet_textguided.dataset_conversion.base.file_cases import FileCase
from nnunet_textguided.dataset_conversion.base.manifest import Manifest
from nnunet_textguided.dataset_conversion.base.pairing import NamePattern, complete_cases, find_cases
from nnunet_textguided.dataset_conversion.base.target import dataset_folder
from nnunet_textguided.dataset_conversion.label_maps.mrspineseg import MRSPINESEG
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import spine_labels
from nnunet_textguided.dataset_conversion.label_maps.table import build_table
from nnunet_textguided.errors import UserError

_IMAGES = ("**/MR", NamePattern("Case{case}", ignore_case=True))
_MASKS = ("**/Mask", NamePattern("mask_case{case}", ignore_case=True))


def convert_mrspineseg(
    source: Path,
    dataset_id: int,
    name: str = "MRSpineSeg",
    *,
    keep_unlabelled: bool = False,
    settings: RunSettings | None = None,
) -> tuple[Path, Manifest]:
    """Convert MRSpineSeg to an nnU-Net raw data set. Its label codes 1 to 19 are those of the shared spine label set.

    Args:
        source: Folder that holds `MR` and `Mask`, at any depth.
        dataset_id: nnU-Net's number of the data set.
        name: Its name.
        keep_unlabelled: Take images without mask (the challenge's test cases), too; they get the ignore label.
        settings: How to run.

    Returns:
        The folder written, and the manifest, whose `problems` say what could not be converted.

    Raises:
        UserError: Nothing found, the target may not be used or written to, bad splits, or no case is convertible.
    """
    source = Path(source).absolute()
    folder = dataset_folder(dataset_id, name)
    labels = spine_labels(ignore=keep_unlabelled)
    found = find_cases(source, _IMAGES, _MASKS)
    cases = complete_cases(found, ("",), keep_unlabelled)
    if not cases:
        lines = "".join(f"\n  {problem}" for problem in found.problems.values())
        raise UserError(f"No case in {source}: expected MR/Case<N>.nii.gz and Mask/mask_case<N>.nii.gz.{lines}")
    table = build_table(MRSPINESEG, labels).codes
    tasks = [
        FileCase(
            case=f"mrspineseg_{case}",
            patient=case,
            images=images,
            mask=mask,
            table=table,
            ignore=labels.get("ignore"),
            source=source,
            target=folder,
        )
        for case, (images, mask) in cases.items()
    ]
    description = DatasetDescription(
        name="MRSpineSeg challenge",
        channel_names=("T2 MRI",),
        labels=labels,
        reference="https://www.spinesegmentation-challenge.com",
        licence="research only, no commercial use, by signed agreement",
    )
    options = {"keep_unlabelled": keep_unlabelled}
    fresh = Manifest("mrspineseg", options, str(source), problems=found.problems)
    return folder, run_conversion(tasks, description, fresh, folder, settings or RunSettings())
