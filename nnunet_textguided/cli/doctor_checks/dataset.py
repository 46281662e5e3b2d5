"""The orientation of a data set's images, which nnU-Net ignores and the names of spinal levels need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnunet_textguided.cli.doctor_checks.check import Check
from nnunet_textguided.dataset_json import block_of, read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.image_headers import read_image_header
from nnunet_textguided.nnunet_paths import missing_paths, require_paths

USE_OURS = "nnUNetv2_predict ignores orientation; use nnunet_textguided predict, which turns such images itself."


def check_dataset(dataset_id: int, images: Path | None = None) -> list[Check]:
    """Check that the images of a data set lie as its dataset.json says, and others as the model will expect.

    Args:
        dataset_id: nnU-Net's number of it.
        images: A folder with more images, to be predicted.
    """
    name = f"Dataset{dataset_id:03d}"
    if missing_paths("nnUNet_raw"):
        return [Check(name, "FAIL", "cannot be looked for while nnUNet_raw is not set", "Set nnUNet_raw, see above.")]
    raw = require_paths("nnUNet_raw")["nnUNet_raw"]
    folders = sorted(folder for folder in raw.glob(f"{name}_*") if folder.is_dir())
    if len(folders) != 1:
        found = f"{len(folders)} folders {name}_* in {raw}"
        mend = "Convert the data (nnunet_textguided convert)." if not folders else "Keep one; a number stands for one."
        return [Check(name, "FAIL", found, mend)]
    try:
        dataset_json = read_dataset_json(folders[0] / "dataset.json")
        training = _training_images(folders[0], dataset_json)
    except (UserError, KeyError, TypeError, AssertionError, OSError) as error:
        mend = f"Compare {folders[0] / 'dataset.json'} with nnU-Net's description of the format."
        return [Check(name, "FAIL", f"{type(error).__name__}: {error}", mend)]
    return _check_orientations(folders[0], dataset_json, training, images)


def _check_orientations(
    folder: Path, dataset_json: dict[str, Any], training: list[Path], images: Path | None
) -> list[Check]:
    ending = dataset_json["file_ending"]
    if not training:
        return [Check(folder.name, "FAIL", f"no {ending} images in {folder}", "Convert the data again.")]
    canonical = block_of(dataset_json).get("orientation")
    label = f"{folder.name} imagesTr"
    try:
        found = orientations(training)
    except UserError as error:
        return [Check(label, "FAIL", str(error), "Replace the file, or convert the data again.")]
    checks = [judge_training(label, found, canonical)]
    expected = canonical or next(iter(found))
    for others in (folder / "imagesTs", images):
        files = sorted(others.glob(f"*{ending}")) if others else []
        if others == images and images and not files:
            checks.append(Check(str(images), "FAIL", f"no {ending} images there", "Give the folder to be predicted."))
        elif files and len(expected) == 3:
            checks.append(_judge_others(str(others), files, expected))
    return checks


def judge_training(label: str, found: dict[str, list[str]], canonical: str | None) -> Check:
    """Compare the orientations of training images with the one the data set declares.

    Args:
        label: What the line is about.
        found: Orientation -> file names, as `orientations` returns it.
        canonical: What dataset.json declares, or None.
    """
    summary = ", ".join(f"{len(names)} x {code}" for code, names in found.items())
    if set(found) == {"none"}:
        return Check(label, "OK", f"{len(found['none'])} images without orientation (2D)")
    if canonical:
        wrong = [name for code, names in found.items() if code != canonical for name in names]
        if not wrong:
            return Check(label, "OK", f"{summary}, as dataset.json declares")
        found_text = f"{summary}; dataset.json declares {canonical}; first other: {wrong[0]}"
        return Check(label, "FAIL", found_text, "Convert the data again (nnunet_textguided convert ... --overwrite).")
    if len(found) > 1:
        mend = "nnU-Net trains on them as they lie; names of levels or sides need one orientation. Reorient the images."
        return Check(label, "WARN", f"mixed orientations: {summary}", mend)
    return Check(label, "OK", f"{summary}; dataset.json declares no orientation")


def _judge_others(label: str, files: list[Path], expected: str) -> Check:
    try:
        found = orientations(files)
    except UserError as error:
        return Check(label, "FAIL", str(error), "Replace the file.")
    summary = ", ".join(f"{len(names)} x {code}" for code, names in found.items())
    if set(found) == {expected}:
        return Check(label, "OK", f"{summary}, as in training")
    return Check(label, "WARN", f"{summary}; training images are {expected}", USE_OURS)


def orientations(files: Iterable[Path]) -> dict[str, list[str]]:
    """Read the orientation of images from their headers, without their voxels.

    Args:
        files: Image files that SimpleITK reads.

    Returns:
        DICOM orientation code, such as PIR, or `none` for images that are not 3D -> names of the files, the most
        frequent code first.

    Raises:
        UserError: A header cannot be read.
    """
    import SimpleITK

    codes: dict[str, str] = {}
    for file in files:
        header = read_image_header(file)
        orient = SimpleITK.DICOMOrientImageFilter.GetOrientationFromDirectionCosines
        codes[file.name] = orient(header.direction) if len(header.size) == 3 else "none"
    counts = Counter(codes.values())
    return {code: [name for name, c in codes.items() if c == code] for code, _ in counts.most_common()}


def _training_images(folder: Path, dataset_json: dict[str, Any]) -> list[Path]:
    from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

    cases = get_filenames_of_train_images_and_targets(str(folder), dataset_json)
    return [Path(image) for case in cases.values() for image in case["images"]]
