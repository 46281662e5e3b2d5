"""A case report: one HTML page and one PNG a predicted case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_textguided.dataset_json import read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path
from nnunet_textguided.image_headers import read_image
from nnunet_textguided.inference.finding_files import findings_file, load_case_findings
from nnunet_textguided.inference.reorient import to_orientation
from nnunet_textguided.inference.report_page import report_page
from nnunet_textguided.inference.report_picture import FindingBox, draw_report
from nnunet_textguided.safe_names import check_name

ORIENTATION = "PIR"
"""Sagittal slices first, from head to foot and from front to back."""


def report_folder(predictions: str | Path, images: str | Path, out: str | Path, channel: int = 0) -> list[Path]:
    """Write a report of every case of a prediction folder.

    Args:
        predictions: Folder `nnunet_textguided predict` wrote, with findings.
        images: Folder of the images it was given, in nnU-Net's naming.
        out: Folder for CASE.html and CASE.png.
        channel: Which channel to show.

    Returns:
        The written pages.

    Raises:
        UserError: No findings in the folder, or a case's image or segmentation is missing.
    """
    predictions, images, out = Path(predictions), Path(images), Path(out)
    cases = sorted(path.name.removesuffix("_findings.json") for path in predictions.glob("*_findings.json"))
    if not cases:
        raise UserError(
            f"{predictions} holds no CASE_findings.json. Predict with `nnunet_textguided predict` and a model that was "
            "trained for findings (plan --findings)."
        )
    dataset_json = read_dataset_json(predictions / "dataset.json")
    return [report_case(predictions, images, out, case, dataset_json, channel) for case in cases]


def report_case(
    predictions: Path, images: Path, out: Path, case: str, dataset_json: dict[str, Any], channel: int = 0
) -> Path:
    """Write the report of one case.

    Args:
        predictions: Folder with the case's segmentation and findings.
        images: Folder with its image.
        out: Folder for the report.
        case: Case identifier.
        dataset_json: Names the labels and the files' ending.
        channel: Which channel to show.

    Returns:
        The page.

    Raises:
        UserError: The image or segmentation is missing or unreadable, or they differ in size.
    """
    ending = dataset_json["file_ending"]
    check_name(case, f"case in {predictions}")
    image = _read(images / f"{case}_{channel:04d}{ending}")
    labels = _read(predictions / f"{case}{ending}")
    if image.GetSize() != labels.GetSize():
        raise UserError(f"{case}: image is {image.GetSize()} voxels, its segmentation {labels.GetSize()}.")
    content = load_case_findings(findings_file(predictions, case))
    findings = sorted(content["findings"], key=lambda f: (not f["present"], -f["probability"]))
    names = {code: name for name, code in dataset_json["labels"].items() if name not in ("background", "ignore")}
    picture = _picture(image, labels, names, findings)
    for path, data in (
        (out / f"{case}.png", picture),
        (out / f"{case}.html", report_page({**content, "findings": findings}, picture).encode()),
    ):
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    return out / f"{case}.html"


def _picture(image: sitk.Image, labels: sitk.Image, names: dict[int, str], findings: Sequence[dict[str, Any]]) -> bytes:
    turned = to_orientation(image, ORIENTATION)
    codes = sitk.GetArrayFromImage(to_orientation(labels, ORIENTATION))
    boxes = [_box(number, f, turned) for number, f in enumerate(findings, start=1) if f["present"]]
    return draw_report(sitk.GetArrayFromImage(turned), codes, names, turned.GetSpacing()[::-1], boxes)


def _box(number: int, finding: dict[str, Any], turned: sitk.Image) -> FindingBox:
    """The finding's box, given in the world, in the array of the turned image."""
    low, high = np.array(finding["box_mm"])
    corners = [np.where(choice, low, high) for choice in np.ndindex(2, 2, 2)]
    indices = np.array([turned.TransformPhysicalPointToContinuousIndex(c.tolist())[::-1] for c in corners])
    return FindingBox(number, tuple(indices.min(0)), tuple(indices.max(0)))


def _read(path: Path) -> sitk.Image:
    if not path.is_file():
        raise UserError(f"Expected {path} for the report, found no such file.")
    return read_image(path)
