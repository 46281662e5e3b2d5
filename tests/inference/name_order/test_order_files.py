"""Files are written in their own geometry, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from bent_column import CODES, SPACING, column, half_a_level_off, row_of
from small_disk import full_disk

from nnunet_textguided.cli.main import main
from nnunet_textguided.inference.name_order import order_folder


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Two cases, one of them with names half a level off."""
    folder = tmp_path / "predictions"
    folder.mkdir()
    content = {"labels": {"background": 0, **CODES}, "file_ending": ".nii.gz", "channel_names": {"0": "T2"}}
    (folder / "dataset.json").write_text(json.dumps(content))
    for name, labels in {"good": column(), "off": half_a_level_off(column(), row_of(3, 1.0), 30)}.items():
        image = sitk.GetImageFromArray(labels)
        image.SetSpacing(SPACING[::-1])
        image.SetOrigin((1.0, 2.0, 3.0))
        image.SetDirection((0, 0, 1, 1, 0, 0, 0, 1, 0))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    return folder


def test_a_folder_is_written_in_its_own_geometry(predictions: Path, tmp_path: Path):
    renamed = order_folder(predictions, tmp_path / "ordered", predictions / "dataset.json")
    assert renamed["good.nii.gz"] == 0
    assert renamed["off.nii.gz"] > 1000
    before, after = (sitk.ReadImage(str(f / "off.nii.gz")) for f in (predictions, tmp_path / "ordered"))
    for geometry in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(after, geometry)() == pytest.approx(getattr(before, geometry)())
    assert (sitk.GetArrayFromImage(before) != sitk.GetArrayFromImage(after)).sum() == renamed["off.nii.gz"]


def test_the_command_can_replace_files_and_says_what_it_did(predictions: Path, capsys: pytest.CaptureFixture):
    assert main(["order-names", "-i", str(predictions), "-o", str(predictions)]) == 0
    printed = capsys.readouterr().out
    assert "good.nii.gz: in order" in printed
    assert "2 cases written" in printed
    assert main(["order-names", "-i", str(predictions), "-o", str(predictions)]) == 0
    assert capsys.readouterr().out.count("in order") == 2
    assert np.isin(sitk.GetArrayFromImage(sitk.ReadImage(str(predictions / "off.nii.gz"))), [0, *CODES.values()]).all()


@pytest.mark.parametrize("case", ["good", "off"])  # the first one is also what nnU-Net chooses a reader by
def test_a_file_that_is_cut_short_is_named_and_nothing_is_made_of_it(predictions: Path, capsys, case: str):
    file = predictions / f"{case}.nii.gz"
    file.write_bytes(file.read_bytes()[:-100])
    before = file.read_bytes()
    for target in (predictions, predictions / "out"):
        assert main(["order-names", "-i", str(predictions), "-o", str(target)]) == 2
        assert f"{case}.nii.gz is not a readable image: it is cut short" in capsys.readouterr().err
    assert file.read_bytes() == before
    assert not (predictions / "out" / file.name).exists()


def test_a_full_disk_leaves_the_predictions_as_they_were(predictions: Path, capsys):
    before = {file.name: file.read_bytes() for file in predictions.iterdir()}
    with full_disk(500):
        assert main(["order-names", "-i", str(predictions), "-o", str(predictions)]) == 2
    assert "Could not write" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in predictions.iterdir()} == before


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda folder: [file.unlink() for file in folder.glob("*.nii.gz")], "found none"),
        (lambda folder: (folder / "dataset.json").unlink(), "-dataset_json"),
        (
            lambda folder: (folder / "dataset.json").write_text('{"labels": {"a": 1}, "file_ending": ".nii.gz"}'),
            "got none",
        ),
    ],
)
def test_what_cannot_be_ordered_is_told(predictions: Path, capsys: pytest.CaptureFixture, break_it, words: str):
    break_it(predictions)
    assert main(["order-names", "-i", str(predictions), "-o", str(predictions / "out")]) == 2
    assert words in capsys.readouterr().err
    assert not (predictions / "out").exists()
