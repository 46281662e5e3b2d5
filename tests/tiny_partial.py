"""Fixtures: a tiny data set of three sources; one leaves out the sacrum, one has findings and no masks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from tiny_dataset import LABELS, SMALL, write_case

PARTIAL = "Dataset930_TinyPartial"
IGNORE = 4
WHOLE = [f"whole_{n:02d}" for n in range(3)]
CUT = [f"cut_{n:02d}" for n in range(3)]
BARE = [f"bare_{n:02d}" for n in range(5)]
FINDINGS = {
    "bulge": {"term": "bulging of the disc", "applies_to": ["L5/S"]},
    "fracture": {"term": "fracture of the vertebra", "applies_to": ["L5", "S"]},
}


def write_partial_raw(raw: Path) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Write images, label maps and dataset.json.

    Returns:
        Case -> name of a structure -> its centre, LPS mm; of the masks before anything was left out.
    """
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True)
    rng = np.random.default_rng(5)
    centres = {}
    for case in [*WHOLE, *CUT, *BARE]:
        write_case(raw, case, rng, {1, 2, 3})
        path = raw / "labelsTr" / f"{case}.nii.gz"
        image = sitk.ReadImage(str(path))
        shape = sitk.LabelShapeStatisticsImageFilter()
        shape.Execute(image)
        centres[case] = {name: shape.GetCentroid(code) for name, code in LABELS.items() if code}
        labels = sitk.GetArrayFromImage(image)
        if case in CUT:
            labels[labels == 1] = 0
        if case in BARE:
            labels[:] = IGNORE
        changed = sitk.GetImageFromArray(labels)
        changed.CopyInformation(image)
        sitk.WriteImage(changed, str(path))
    dataset_json = {
        "channel_names": {"0": "T2"},
        "labels": {**LABELS, "ignore": IGNORE},
        "numTraining": len(centres),
        "file_ending": ".nii.gz",
        "text_guidance": {"missing": {"cut": ["S"]}, "findings": FINDINGS},
    }
    (raw / "dataset.json").write_text(json.dumps(dataset_json))
    return centres


def write_partial_findings(folder: Path, centres: dict[str, dict[str, tuple[float, float, float]]]) -> None:
    """Write findings.csv: every second case bulges; in cases without masks all places are marked, absent ones too."""
    from nnunet_textguided.findings.annotations import Annotation, write_findings

    rows = []
    for number, (case, places) in enumerate(centres.items()):
        place = places if case in BARE else {}
        rows.append(Annotation(case, "L5/S", "bulge", number % 2, place.get("L5/S")))
        rows.append(Annotation(case, "L5", "fracture", 0, place.get("L5")))
    write_findings(rows, folder / "findings.csv")


@pytest.fixture(scope="session")
def partial_dataset(tiny_dataset: Path) -> Path:
    """`nnUNet_preprocessed/Dataset930_TinyPartial`, planned as the tiny one and preprocessed by nnU-Net for 2d."""
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    base = tiny_dataset.parent.parent
    raw, folder = base / "nnUNet_raw" / PARTIAL, base / "nnUNet_preprocessed" / PARTIAL
    centres = write_partial_raw(raw)
    plans = json.loads((tiny_dataset / "nnUNetPlans.json").read_text())
    plans["dataset_name"] = PARTIAL
    manager = PlansManager(plans)
    (folder / "nnUNetPlans_2d").mkdir(parents=True)
    (folder / "gt_segmentations").mkdir()
    for case in centres:
        images, labels = [str(raw / "imagesTr" / f"{case}_0000.nii.gz")], raw / "labelsTr" / f"{case}.nii.gz"
        target = (str(folder / "nnUNetPlans_2d" / case), images, str(labels), manager, manager.get_configuration("2d"))
        DefaultPreprocessor(verbose=False).run_case_save(*target, str(raw / "dataset.json"))
        (folder / "gt_segmentations" / labels.name).write_bytes(labels.read_bytes())
    (folder / "dataset.json").write_bytes((raw / "dataset.json").read_bytes())
    (folder / "dataset_fingerprint.json").write_bytes((tiny_dataset / "dataset_fingerprint.json").read_bytes())
    (folder / "nnUNetPlans.json").write_text(json.dumps(plans))
    write_partial_findings(folder, centres)
    held_out = [WHOLE[2], CUT[2], BARE[4]]
    splits = [
        {"train": [case for case in centres if case not in held_out], "val": held_out},
        {"train": CUT[:2], "val": [WHOLE[2], BARE[4]]},
        {"train": BARE[:2], "val": CUT},
    ]
    (folder / "splits_final.json").write_text(json.dumps(splits))
    return folder


@pytest.fixture
def make_partial_trainer(partial_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Build a trainer of the partly labelled data set; `findings` as for plan, `missing` as in dataset.json."""
    import torch

    from nnunet_textguided.trainers.plan import write_text_guided_plans

    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    monkeypatch.setenv("nnUNet_results", str(tmp_path))

    def make(trainer_class, fold: int = 0, findings: Sequence[str] = ("all",), missing: dict | None = None):
        options = {"name": "nnUNetPlansPartial", "overwrite": True, "mirror": "none", "findings": list(findings)}
        path = write_text_guided_plans(partial_dataset, options=SMALL, **options)
        plans = {**json.loads(path.read_text()), "continue_training": False}
        dataset_json = json.loads((partial_dataset / "dataset.json").read_text())
        if missing is not None:
            dataset_json["text_guidance"]["missing"] = missing
        trainer = trainer_class(plans, "2d", fold, dataset_json, device=torch.device("cpu"))
        trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 2, 2, 2
        return trainer

    yield make
    for file in partial_dataset.glob("nnUNetPlansPartial*"):
        file.unlink()
