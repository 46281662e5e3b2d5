"""A constructed data set and constructed models of it, on disk as nnU-Net writes them: nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
import torch

from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Run

DATASET = "Dataset901_Toy"
ENDING = ".nii.gz"
SPACING_MM = (4.0, 1.5, 1.0)  # z, y, x
SHAPE = (4, 60, 20)
LABELS = {"background": 0, "L5": 1, "L4": 2, "T12": 3, "T11": 4, "L5/S": 5, "L4/L5": 6, "T11/T12": 7}
COLUMN = (5, 1, 6, 2, 3, 7, 4)
"""Codes from below to above, as they lie in the truth."""
FINDINGS = ("disc bulge", "osteophyte")
PLANS: dict[str, Any] = {
    "dataset_name": DATASET,
    "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "transpose_backward": [0, 1, 2],
    "configurations": {
        "2d": {"data_identifier": "nnUNetPlans_2d", "batch_size": 2, "patch_size": [48, 20], "spacing": [1.5, 1.0]},
        "3d_fullres": {"data_identifier": "nnUNetPlans_3d_fullres", "batch_size": 2, "patch_size": [4, 48, 20]},
    },
    "experiment_planner_used": "ExperimentPlanner",
    "label_manager": "LabelManager",
}


@dataclass(frozen=True)
class ToyDataset:
    """What `write_toy_dataset` made.

    Attributes:
        folders: nnU-Net's three.
        name: DatasetXXX_Name.
        truths: Case -> codes (Z, Y, X).
        folds: Fold -> its validation cases.
        findings: Assessed decisions: case, structure, finding, present.
        labels: Name -> code.
    """

    folders: Folders
    name: str
    truths: dict[str, np.ndarray]
    folds: dict[int, list[str]]
    findings: pd.DataFrame
    labels: dict[str, int]

    @property
    def preprocessed(self) -> Path:
        return self.folders.preprocessed / self.name

    def run(self, trainer: str = "nnUNetTrainer", plans: str = "nnUNetPlans", fold: int = 0, configuration="2d") -> Run:
        return Run(self.name, configuration, trainer, plans, fold)

    def write_model(self, run: Run, quality: float = 0.8, seed: int = 0, findings: bool = False, **options) -> Path:
        """Write a finished run whose predictions are spoiled truths."""
        rng = np.random.default_rng(seed)
        cases = self.folds[run.fold]
        predictions = {case: spoil(self.truths[case], rng, quality) for case in cases}
        if findings:
            options.setdefault("findings", toy_findings(self.findings, cases, predictions, self.labels, rng))
        return write_toy_model(self.folders.results, run, self.folders.truth(self.name), predictions, **options)


def toy_truth(rng: np.random.Generator, codes: Sequence[int] = COLUMN, shape: Sequence[int] = SHAPE) -> np.ndarray:
    """Boxes stacked along the second axis; one structure in five is absent."""
    mask = np.zeros(shape, np.uint8)
    row = 2
    for code in codes:
        height = int(rng.integers(4, 8))
        column = int(rng.integers(2, 6))
        if rng.random() > 0.2:
            mask[1 : shape[0] - 1, row : row + height, column : column + 11] = code
        row += height + 1
    return mask


def spoil(truth: np.ndarray, rng: np.random.Generator, quality: float) -> np.ndarray:
    """Shift every structure by up to two voxels and lose some voxels, some structures and, rarely, gain a false one."""
    prediction = np.zeros_like(truth)
    for code in np.unique(truth[truth > 0]):
        if rng.random() > 0.7 + 0.3 * quality:
            continue
        moved = np.roll(truth == code, rng.integers(-2, 3, size=2) if rng.random() > quality else (0, 0), axis=(1, 2))
        prediction[moved & (rng.random(truth.shape) < 0.5 + 0.5 * quality)] = code
    if rng.random() > quality:
        prediction[1, -3:, :3] = int(rng.integers(1, 8))
    return prediction


def toy_findings(
    assessed: pd.DataFrame,
    cases: Sequence[str],
    predictions: Mapping[str, np.ndarray],
    labels: Mapping[str, int],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """findings.csv as a validation writes it: a row a predicted or assessed decision, probabilities near the truth."""
    rows = []
    truth = assessed.set_index(["case", "structure", "finding"])["present"].to_dict()
    for case in cases:
        for structure, code in labels.items():
            segmented = bool(code and (predictions[case] == code).any())
            for finding in FINDINGS:
                known = truth.get((case, structure, finding), np.nan)
                if segmented or known == known:
                    centre = 0.5 if known != known else 0.35 + 0.3 * known
                    value = float(np.clip(rng.normal(centre, 0.2), 0.01, 0.99)) if segmented else 0.0
                    rows.append((case, structure, finding, known, value, segmented))
    return pd.DataFrame(rows, columns=["case", "structure", "finding", "truth", "probability", "segmented"])


def write_mask(path: Path, codes: np.ndarray, spacing_mm: Sequence[float] = SPACING_MM, origin: float = 0.0) -> None:
    """Write codes (Z, Y, X) with spacing (z, y, x)."""
    image = sitk.GetImageFromArray(codes.astype(np.uint8))
    image.SetSpacing([float(value) for value in reversed(spacing_mm)])
    image.SetOrigin((origin, 0.0, 0.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_toy_dataset(
    base: Path,
    cases: int = 20,
    folds: int = 2,
    seed: int = 0,
    labels: Mapping[str, int] = LABELS,
    name: str = DATASET,
    **about: Any,
) -> ToyDataset:
    """Write raw and preprocessed folder of a data set of random masks.

    Args:
        base: Where nnU-Net's three folders are made.
        cases: How many.
        folds: How many; every case is validated by one of them.
        seed: Of the masks.
        labels: Of dataset.json.
        name: DatasetXXX_Name.
        **about: More entries of dataset.json.
    """
    rng = np.random.default_rng(seed)
    folders = Folders(*(base / name for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")))
    names = [f"case_{number:02d}" for number in range(cases)]
    truths = {case: toy_truth(rng) for case in names}
    raw, preprocessed = folders.raw / name, folders.preprocessed / name
    dataset_json = {"channel_names": {"0": "T2"}, "labels": dict(labels), "numTraining": cases, "file_ending": ENDING}
    for case, truth in truths.items():
        write_mask(raw / "labelsTr" / f"{case}{ENDING}", truth)
        write_mask(raw / "imagesTr" / f"{case}_0000{ENDING}", truth * 10 + rng.integers(0, 20, truth.shape))
        write_mask(preprocessed / "gt_segmentations" / f"{case}{ENDING}", truth)
        for suffix in (".b2nd", "_seg.b2nd", ".pkl"):
            path = preprocessed / "nnUNetPlans_2d" / f"{case}{suffix}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(rng.bytes(200))
    by_fold = {fold: names[fold::folds] for fold in range(folds)}
    splits = [{"train": [case for case in names if case not in val], "val": val} for val in by_fold.values()]
    findings = _assessed(names, truths, labels, rng)
    for folder in (raw, preprocessed):
        write_json(folder / "dataset.json", {**dataset_json, **about})
        write_json(folder / "splits_final.json", splits)
        findings.to_csv(folder / "findings.csv", index=False)
    write_json(preprocessed / "dataset_fingerprint.json", {"spacings": [list(SPACING_MM)] * cases})
    write_json(preprocessed / "nnUNetPlans.json", PLANS)
    folders.results.mkdir()
    return ToyDataset(folders, name, truths, by_fold, findings, dict(labels))


def _assessed(
    cases: Sequence[str], truths: Mapping[str, np.ndarray], labels: Mapping[str, int], rng: np.random.Generator
) -> pd.DataFrame:
    """A reader has seen four in five of the structures there are."""
    rows = [
        (case, structure, finding, int(rng.random() < 0.4))
        for case in cases
        for structure, code in labels.items()
        for finding in FINDINGS
        if isinstance(code, int) and code and (truths[case] == code).any() and rng.random() < 0.8
    ]
    return pd.DataFrame(rows, columns=["case", "structure", "finding", "present"])


def toy_plans(
    identifier: str = "nnUNetPlans", block: Mapping[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """Plans; `changes` go into the configuration 2d."""
    plans = {**deepcopy(PLANS), "plans_name": identifier}
    plans["configurations"]["2d"].update(changes)
    return plans if block is None else {**plans, "text_guidance": dict(block)}


def write_toy_model(
    results: Path,
    run: Run,
    truth_folder: Path,
    predictions: Mapping[str, np.ndarray],
    *,
    plans: Mapping[str, Any] | None = None,
    findings: pd.DataFrame | None = None,
    weights: Mapping[str, torch.Tensor] | None = None,
    epoch_seconds: Sequence[float] = (10.0, 12.0, 50.0),
    iterations_per_epoch: int = 25,
) -> Path:
    """Write a finished run as nnU-Net leaves it.

    Args:
        results: nnUNet_results.
        run: Which one.
        truth_folder: gt_segmentations in nnUNet_preprocessed/DatasetXXX_Name; dataset.json lies beside it.
        predictions: Case -> codes (Z, Y, X); the geometry is that of the truth.
        plans: Content of plans.json; toy plans of the run's name when None.
        findings: Content of validation/findings.csv; none is written when None.
        weights: Of the checkpoint.
        epoch_seconds: Duration of each epoch.
        iterations_per_epoch: For debug.json.

    Returns:
        The run's folder.
    """
    model, fold = run.model_folder(results), run.fold_folder(results)
    write_json(model / "plans.json", toy_plans(run.plans) if plans is None else plans)
    for name in ("dataset.json", "dataset_fingerprint.json"):
        write_json(model / name, json.loads((truth_folder.parent / name).read_text()))
    for case, codes in predictions.items():
        image = sitk.GetImageFromArray(codes.astype(np.uint8))
        image.CopyInformation(sitk.ReadImage(str(truth_folder / f"{case}{ENDING}")))
        (fold / "validation").mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(fold / "validation" / f"{case}{ENDING}"))
    write_json(fold / "validation" / "summary.json", {"foreground_mean": {}, "metric_per_case": []})
    if findings is not None:
        findings.to_csv(fold / "validation" / "findings.csv", index=False)
    if weights is None:
        weights = {"conv.weight": torch.full((4, 3, 3), float(run.fold)), "conv.bias": torch.zeros(4)}
    save_checkpoint(fold / "checkpoint_final.pth", weights, run.trainer, epoch_seconds)
    debug = {"num_epochs": str(len(epoch_seconds)), "num_iterations_per_epoch": str(iterations_per_epoch)}
    write_json(fold / "debug.json", {**debug, "device": "cpu", "hostname": "secret-host", "torch_version": "2.9.9"})
    return fold


def save_checkpoint(
    path: Path, weights: Mapping[str, torch.Tensor], trainer: str, epoch_seconds: Sequence[float]
) -> None:
    """Write nnU-Net's keys; an epoch starts every 100 s."""
    starts = [1000.0 + 100 * epoch for epoch in range(len(epoch_seconds))]
    ends = [start + seconds for start, seconds in zip(starts, epoch_seconds, strict=True)]
    content = {
        "network_weights": dict(weights),
        "optimizer_state": {},
        "grad_scaler_state": None,
        "logging": {"epoch_start_timestamps": starts, "epoch_end_timestamps": ends, "mean_fg_dice": [0.5] * len(ends)},
        "_best_ema": 0.5,
        "current_epoch": len(ends),
        "init_args": {},
        "trainer_name": trainer,
        "inference_allowed_mirroring_axes": None,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)


def stand_in_for_spine_scores(monkeypatch) -> None:
    """Replace the scores of spines by fixed ones, where a test is about something else."""
    from nnunet_textguided.comparison import case_scoring

    def spine_rows(case, truth, prediction, spacing_mm, names):
        return [{"case": case, "kind": "vertebra", "label": code} for code in sorted(names)[:2]], 0.0

    monkeypatch.setattr(case_scoring, "spine_rows", spine_rows)
