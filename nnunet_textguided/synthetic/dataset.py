"""Phantoms on disk: as a raw nnU-Net dataset, or in the layout of the SPIDER release."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path, save_json_atomic
from nnunet_textguided.findings.annotations import FINDINGS_FILE, Annotation, write_findings
from nnunet_textguided.nnunet_paths import missing_paths, require_paths
from nnunet_textguided.synthetic.findings_plan import FINDINGS
from nnunet_textguided.synthetic.phantom import DIRECTION, ORIENTATION, Phantom, PhantomSpec, generate_phantom
from nnunet_textguided.synthetic.structures import CANAL, CANAL_CODE, CODES, DISCS, VERTEBRAE

if TYPE_CHECKING:
    import SimpleITK as sitk

logger = logging.getLogger(__name__)

SPIDER_CANAL = 100
SPIDER_CODES: dict[str, int] = {name: code for code, name in enumerate(VERTEBRAE[1:], start=1)} | {
    name: code for code, name in enumerate(DISCS, start=201)
}
"""Structure -> SPIDER's mask value: vertebrae from L5 = 1, discs from L5/S = 201. SPIDER has no code for the sacrum."""

_SEED_STRIDE = 100_000  # dataset seed n uses the phantom seeds n * stride + case, so that datasets share no patient


def phantom_seed(seed: int, case: int) -> int:
    """Return the phantom's seed of a case of a dataset.

    Args:
        seed: The dataset's seed.
        case: Number of the case, from 0.
    """
    return seed * _SEED_STRIDE + case


def write_phantom_dataset(
    nnunet_raw: str | os.PathLike[str],
    dataset_id: int,
    name: str,
    n_cases: int,
    seed: int = 0,
    spec: PhantomSpec | None = None,
    keep_canal: bool = False,
) -> Path:
    """Write phantoms as a raw nnU-Net dataset: T1 and T2, labels, findings.csv, dataset.json, splits_final.json.

    Cases that are already there are kept, so an interrupted run continues.

    Args:
        nnunet_raw: The folder nnUNet_raw points at.
        dataset_id: nnU-Net's number of the dataset.
        name: Name after the number.
        n_cases: Number of patients.
        seed: Seed of the dataset; datasets of different seeds share no patient.
        spec: The scans; None for the default.
        keep_canal: Also label the spinal canal.

    Returns:
        The dataset's folder.

    Raises:
        UserError: n_cases is below 1, or the folder cannot be written.
    """
    import SimpleITK as sitk

    _check_count(n_cases)
    folder = Path(nnunet_raw) / f"Dataset{dataset_id:03d}_{name}"
    cases = [f"phantom_{number:03d}" for number in range(n_cases)]
    annotations: list[Annotation] = []
    for number, case in enumerate(cases):
        phantom = generate_phantom(phantom_seed(seed, number), spec)
        annotations += _annotations(case, phantom)
        labels = np.where(phantom.canal & (phantom.labels == 0), CANAL_CODE, phantom.labels).astype(np.uint8)
        for array, file in (
            (phantom.t1, folder / "imagesTr" / f"{case}_0000.nii.gz"),
            (phantom.t2, folder / "imagesTr" / f"{case}_0001.nii.gz"),
            (labels if keep_canal else phantom.labels, folder / "labelsTr" / f"{case}.nii.gz"),
        ):
            _write_image(sitk, to_sitk(array, phantom), file)
    write_findings(annotations, folder / FINDINGS_FILE)
    save_json_atomic(make_splits(cases, seed), folder / "splits_final.json")
    save_json_atomic(_dataset_json(n_cases, keep_canal), folder / "dataset.json")
    if not missing_paths("nnUNet_preprocessed"):
        preprocessed = require_paths("nnUNet_preprocessed")["nnUNet_preprocessed"]
        save_json_atomic(make_splits(cases, seed), preprocessed / folder.name / "splits_final.json")
    return folder


def write_spider_layout(
    folder: str | os.PathLike[str], n_cases: int, seed: int = 0, spec: PhantomSpec | None = None
) -> Path:
    """Write phantoms as SPIDER is released: images/<n>_t1.mha and _t2.mha, masks of the same names, SPIDER's codes.

    The sacrum is left out, as SPIDER does not annotate it. Files that are already there are kept. The findings, which
    SPIDER's gradings have no columns for, go to findings.csv and findings.json, by patient.

    Args:
        folder: Where to write.
        n_cases: Number of patients; they are numbered from 1.
        seed: Seed of the dataset.
        spec: The scans; None for the default.

    Returns:
        The folder.

    Raises:
        UserError: n_cases is below 1, or the folder cannot be written.
    """
    import SimpleITK as sitk

    _check_count(n_cases)
    folder = Path(folder)
    table = np.zeros(max(CODES.values()) + 1, dtype=np.uint8)
    for name, code in SPIDER_CODES.items():
        table[CODES[name]] = code
    annotations: list[Annotation] = []
    for number in range(n_cases):
        files = [folder / kind / f"{number + 1}_{name}.mha" for kind in ("images", "masks") for name in ("t1", "t2")]
        phantom = generate_phantom(phantom_seed(seed, number), spec)
        annotations += _annotations(str(number + 1), phantom)
        if all(file.exists() for file in files):
            continue
        mask = table[phantom.labels]
        mask[phantom.canal & (phantom.labels == 0)] = SPIDER_CANAL
        arrays = (np.rint(phantom.t1).astype(np.int16), np.rint(phantom.t2).astype(np.int16), mask, mask)
        for array, file in zip(arrays, files, strict=True):
            _write_image(sitk, to_sitk(array, phantom), file)
        logger.info("patient %d of %d", number + 1, n_cases)
    write_findings(annotations, folder / FINDINGS_FILE)
    save_json_atomic(_findings_block(), folder / "findings.json")
    return folder


def to_sitk(array: np.ndarray, phantom: Phantom) -> sitk.Image:
    """Return an array of a phantom (D, H, W) as an image with its spacing, origin and direction."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    image.SetSpacing(tuple(float(value) for value in reversed(phantom.spacing)))
    image.SetOrigin(tuple(float(value) for value in phantom.origin_mm))
    image.SetDirection(DIRECTION)
    return image


def make_splits(cases: list[str], seed: int, n_folds: int = 5) -> list[dict[str, list[str]]]:
    """Split cases (one a patient) into folds as nnU-Net's splits_final.json holds them.

    Args:
        cases: Case identifiers.
        seed: Seed of the shuffle.
        n_folds: Number of folds; every case is in the validation part of exactly one.
    """
    shuffled = [cases[index] for index in np.random.default_rng(seed).permutation(len(cases))]
    parts = [sorted(shuffled[fold::n_folds]) for fold in range(n_folds)]
    return [{"train": sorted(set(cases) - set(part)), "val": part} for part in parts]


def _check_count(n_cases: int) -> None:
    if n_cases < 1:
        raise UserError(f"A phantom dataset needs at least one case, got n_cases = {n_cases}.")


def _write_image(sitk_module: Any, image: sitk.Image, file: Path) -> None:
    with atomic_path(file) as temporary:
        try:
            sitk_module.WriteImage(image, str(temporary), useCompression=True)
        except RuntimeError as error:  # SimpleITK's only kind of error
            raise UserError(f"Could not write {file}: {str(error).strip().splitlines()[-1]}") from error


def _dataset_json(n_cases: int, keep_canal: bool) -> dict[str, object]:
    labels = {"background": 0, **CODES} | ({CANAL: CANAL_CODE} if keep_canal else {})
    return {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": labels,
        "numTraining": n_cases,
        "file_ending": ".nii.gz",
        "description": "synthetic lumbar spine MRI",
        "text_guidance": {"orientation": ORIENTATION, "findings": _findings_block()},
    }


def _annotations(case: str, phantom: Phantom) -> list[Annotation]:
    return [Annotation(case, f.structure, f.finding, f.present, f.position_mm) for f in phantom.findings]


def _findings_block() -> dict[str, dict[str, object]]:
    """The entry `findings` of dataset.json."""
    return {finding: {"term": term, "applies_to": list(sites)} for finding, (term, sites) in FINDINGS.items()}
