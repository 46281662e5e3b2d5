from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from small_disk import full_disk
from toy_model import IN_PROCESS, make_text_guided, toy_volume

from nnunet_textguided.cli.main import main
from nnunet_textguided.errors import UserError
from nnunet_textguided.ext_path import ext_dir
from nnunet_textguided.inference.ensemble import average_findings, ensemble_predictions
from nnunet_textguided.inference.predict import predict_folder


def finding(probability: float, structure: str = "L5", place: float = 0.0, threshold: float = 0.5) -> dict:
    return {
        "structure": structure,
        "finding": "x",
        "probability": probability,
        "threshold": threshold,
        "present": probability >= threshold,
        "centroid_mm": [place, 0, 0],
    }


def test_probability_is_the_mean_and_the_place_that_of_the_surest_model():
    (only,) = average_findings([[finding(0.2, place=1)], [finding(0.9, place=2)], [finding(0.7, place=3)]], {"L5"})
    assert only["probability"] == pytest.approx(0.6)
    assert only["present"]
    assert only["centroid_mm"][0] == 2


def test_a_model_that_did_not_segment_the_structure_counts_as_zero():
    (only,) = average_findings([[finding(0.8)], []], {"L5"})
    assert only["probability"] == pytest.approx(0.4)
    assert not only["present"]


def test_a_structure_the_ensemble_does_not_segment_has_no_finding():
    assert average_findings([[finding(0.8)], [finding(0.8)]], {"S"}) == []


def test_thresholds_are_averaged_with_the_probabilities():
    (only,) = average_findings([[finding(0.3, threshold=0.2)], [finding(0.3, threshold=0.3)]], {"L5"})
    assert only["threshold"] == pytest.approx(0.25)
    assert only["present"]


@pytest.fixture(scope="module")
def two_predictions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same images predicted by two folds, each alone."""
    from dataclasses import replace

    patch = pytest.MonkeyPatch()
    patch.setenv("nnUNet_extTrainer", str(ext_dir()))
    patch.setenv("nnUNet_compile", "f")
    base = tmp_path_factory.mktemp("ensemble")
    model = make_text_guided(base / "TextGuidedTrainer__P__2d", "2d", 2)
    (base / "images").mkdir()
    for number in range(2):
        sitk.WriteImage(toy_volume(number, (4, 20, 18)), str(base / "images" / f"c{number}_0000.nii.gz"))
    folders = [base / f"fold{fold}" for fold in range(2)]
    for fold, folder in enumerate(folders):
        predict_folder(model, base / "images", folder, fold, settings=replace(IN_PROCESS, save_probabilities=True))
    yield folders
    patch.undo()


def test_ensemble_writes_segmentation_findings_and_tables(two_predictions: list[Path], tmp_path: Path):
    folders = [str(folder) for folder in two_predictions]
    assert main(["ensemble", "-i", *folders, "-o", str(tmp_path / "out"), "-np", "1"]) == 0
    tables = [pd.read_csv(folder / "findings.csv") for folder in (*two_predictions, tmp_path / "out")]
    keys = ["case", "structure", "finding"]
    first, second, mean = (table.set_index(keys)["probability"] for table in tables)
    expected = (first.reindex(mean.index).fillna(0) + second.reindex(mean.index).fillna(0)) / 2
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    assert len(mean) >= 2
    content = json.loads((tmp_path / "out" / "c0_findings.json").read_text())
    assert [model["folds"] for model in content["model"]["ensemble"]] == [[0], [1]]
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "c0.nii.gz")))
    volumes = (
        pd.read_csv(tmp_path / "out" / "structures.csv").query("case == 'c0'").set_index("structure")["volume_mm3"]
    )
    assert volumes["L5"] == pytest.approx((labels == 1).sum() * 3.75, rel=1e-4)


def test_a_full_disk_leaves_the_old_ensemble(two_predictions: list[Path], tmp_path: Path):
    folders, out = [tmp_path / folder.name for folder in two_predictions], tmp_path / "out"
    for number, (source, folder) in enumerate(zip(two_predictions, folders, strict=True)):
        shutil.copytree(source, folder)
        noise = np.random.default_rng(number).random((3, 8, 40, 40), np.float32)
        for case in ("c0", "c1"):
            np.savez_compressed(folder / f"{case}.npz", probabilities=noise)
    out.mkdir()
    (out / "c0.nii.gz").write_bytes(b"old")
    with (
        full_disk(1000),
        pytest.raises(UserError, match=r"Could not write .*\.nii\.gz in full: .*c[01]\.nii\.gz .*cut short"),
    ):
        ensemble_predictions(folders, out)
    assert [file.name for file in out.iterdir()] == ["c0.nii.gz"]
    assert (out / "c0.nii.gz").read_bytes() == b"old"
    ensemble_predictions(folders, out, save_probabilities=True)
    assert {f"c{n}.{end}" for n in (0, 1) for end in ("nii.gz", "npz", "pkl")} <= {file.name for file in out.iterdir()}
    assert not list(out.glob(".*"))


def test_probabilities_that_announce_too_much_are_refused_before_nnunet_unpacks_them(
    two_predictions: list[Path], tmp_path: Path
):
    other = tmp_path / "other"
    shutil.copytree(two_predictions[1], other)
    with (
        zipfile.ZipFile(other / "c1.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("probabilities.npy", "w") as stream,
    ):
        header = {"descr": "<f4", "fortran_order": False, "shape": (3, 1000, 1000, 3000)}
        np.lib.format.write_array_header_1_0(stream, header)
    with pytest.raises(UserError, match=r"c1\.npz: .*1000 x 1000 x 3000 voxels"):
        ensemble_predictions([two_predictions[0], other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folders_of_other_cases_are_refused_by_name(two_predictions: list[Path], tmp_path: Path):
    other = tmp_path / "other"
    shutil.copytree(two_predictions[1], other)
    (other / "c1.npz").unlink()
    with pytest.raises(UserError, match="c1"):
        ensemble_predictions([two_predictions[0], other], tmp_path / "out")


def test_folder_without_probabilities_says_how_to_get_them(two_predictions: list[Path], tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="--save_probabilities"):
        ensemble_predictions([two_predictions[0], tmp_path / "empty"], tmp_path / "out")


def test_one_folder_is_no_ensemble(two_predictions: list[Path], tmp_path: Path):
    with pytest.raises(UserError, match="at least two"):
        ensemble_predictions(two_predictions[:1], tmp_path / "out")
