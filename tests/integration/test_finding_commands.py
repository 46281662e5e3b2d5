"""Findings by the commands a user types: five folds on phantoms, their thresholds, and the model elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from command_line import command, make_environment

pytestmark = pytest.mark.slow

DATASET, PLANS, TRAINER = "Dataset902_Phantoms", "nnUNetPlansFindings", "LearningTextGuided"
MODEL = f"-d {DATASET} -c 2d -tr {TRAINER} -p {PLANS}"
SCAN = "--shape 5 128 64 --spacing 4 2.7 2.7"
FINDINGS = ["disc bulge", "disc protrusion", "disc extrusion", "Schmorl node", "vertebral degeneration"]


@dataclass
class Study:
    """Where things are, and how to run a command there."""

    folder: Path
    environment: dict[str, str]

    @property
    def raw(self) -> Path:
        return self.folder / "nnUNet_raw" / DATASET

    @property
    def model(self) -> Path:
        return self.folder / "nnUNet_results" / DATASET / f"{TRAINER}__{PLANS}__2d"

    def run(self, line: str) -> str:
        return command(line, self.environment, self.folder)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Ten phantoms, converted, planned with all findings, five folds trained; thresholds are stored."""
    folder = tmp_path_factory.mktemp("study")
    environment = make_environment(tmp_path_factory.mktemp("own_trainers"))
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (folder / name).mkdir()
        environment[name] = str(folder / name)
    made = Study(folder, environment)
    made.run(f"python -m nnunet_textguided.synthetic phantoms -n 10 --seed 3 {SCAN}")
    made.run("nnunet_textguided convert spider phantoms -d 902 --name Phantoms --channels t1 t2")
    # nnU-Net's planner wants a number of threads, its loader none of other processes
    planning = {**environment, "nnUNet_n_proc_DA": "1"}
    command("nnUNetv2_plan_and_preprocess -d 902 -c 2d -gpu_memory_target 0.3 -npfp 1 -np 1", planning, folder)
    options = "--encoder convnextv2_atto --encoder-weights none --text-model random"
    made.run(f"nnunet_textguided plan -d 902 --name {PLANS} --findings all {options}")
    for fold in range(5):
        made.run(f"nnUNetv2_train 902 2d {fold} -tr {TRAINER} -p {PLANS} -device cpu")
    return made


@pytest.fixture(scope="module")
def evaluated(study: Study) -> str:
    return study.run(f"nnunet_textguided evaluate {study.raw}/labelsTr --folds {study.model} --set-operating-points")


@pytest.fixture(scope="module")
def predicted(study: Study, evaluated: str) -> Path:
    """New phantoms as all five folds see them, after the thresholds were stored."""
    study.run(f"python -m nnunet_textguided.synthetic unseen -n 2 --seed 4 {SCAN}")
    (study.folder / "new").mkdir()
    for patient in (1, 2):
        for channel, sequence in enumerate(("t1", "t2")):
            image = sitk.ReadImage(str(study.folder / "unseen" / "images" / f"{patient}_{sequence}.mha"))
            sitk.WriteImage(image, str(study.folder / "new" / f"new_{patient}_{channel:04d}.nii.gz"))
    study.run(f"nnunet_textguided predict -i new -o here {MODEL} -device cpu -npp 1 -nps 1")
    # otherwise the comparisons below would compare nothing
    assert len(pd.read_csv(study.folder / "here" / "findings.csv")) > 29
    return study.folder / "here"


def test_every_decision_of_every_patient_is_out_of_fold_once(study: Study, evaluated: str):
    table = pd.concat(pd.read_csv(study.model / f"fold_{fold}" / "validation" / "findings.csv") for fold in range(5))
    truth = pd.read_csv(study.raw / "findings.csv").rename(columns={"present": "read"})
    joined = table.merge(truth, on=["case", "structure", "finding"], how="outer", indicator=True)
    assert (joined["_merge"] == "both").all()
    assert len(joined) == 10 * 29
    assert (joined["truth"] == joined["read"]).all()
    assert "10 cases" in evaluated
    assert all(name in evaluated for name in FINDINGS)


def test_thresholds_of_the_folds_decide_new_cases(study: Study, predicted: Path):
    points = json.loads((study.model / "plans.json").read_text())["text_guidance"]["operating_points"]
    assert sorted(points) == sorted(FINDINGS)
    table = pd.read_csv(predicted / "findings.csv")
    assert sorted(table["finding"].unique()) == sorted(FINDINGS)
    assert set(table["case"]) == {"new_1", "new_2"}
    np.testing.assert_array_equal(table["present"] == 1, table["probability"] >= table["finding"].map(points))


def test_model_goes_elsewhere_as_a_zip_and_finds_the_same(study: Study, predicted: Path, tmp_path: Path):
    study.run(f"nnUNetv2_export_model_to_zip {MODEL} -f 0 1 2 3 4 -o {tmp_path}/model.zip --not_strict")
    elsewhere = {**study.environment, "nnUNet_results": str(tmp_path / "results"), "nnUNet_raw": str(tmp_path / "raw")}
    del elsewhere["nnUNet_preprocessed"]
    (tmp_path / "results").mkdir()
    (tmp_path / "raw").mkdir()
    command(f"nnUNetv2_install_pretrained_model_from_zip {tmp_path}/model.zip", elsewhere, tmp_path)
    line = f"nnunet_textguided predict -i {study.folder}/new -o there {MODEL} -device cpu -npp 1 -nps 1"
    command(line, elsewhere, tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "there/findings.csv"), pd.read_csv(predicted / "findings.csv"))
    for name in ("new_1.nii.gz", "new_2.nii.gz"):
        here, there = (sitk.GetArrayFromImage(sitk.ReadImage(str(f / name))) for f in (predicted, tmp_path / "there"))
        np.testing.assert_array_equal(here, there)


def test_an_ensemble_of_a_model_with_itself_changes_no_probability(study: Study, predicted: Path):
    line = f"nnunet_textguided predict -i new -o once_more {MODEL} -device cpu -npp 1 -nps 1 --save_probabilities"
    study.run(line)
    study.run("nnunet_textguided ensemble -i once_more once_more -o ensembled -np 1")
    both = [pd.read_csv(study.folder / name / "findings.csv") for name in ("ensembled", "here")]
    keys = ["case", "structure", "finding"]
    first, second = (table.set_index(keys)["probability"].sort_index() for table in both)
    np.testing.assert_allclose(first, second.reindex(first.index), atol=1e-6)


def test_a_page_is_written_for_every_case(study: Study, predicted: Path):
    study.run("nnunet_textguided report here new -o pages")
    assert sorted(path.name for path in (study.folder / "pages").glob("*.html")) == ["new_1.html", "new_2.html"]
