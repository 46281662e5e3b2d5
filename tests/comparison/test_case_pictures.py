from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from toy_comparison import LABELS, changed, relabelled, toy_comparison

from nnunet_textguided.comparison.case_pictures import case_pictures, chosen_cases
from nnunet_textguided.errors import UserError

SHAPE = (3, 40, 24)
PIR = (0, 0, -1, 1, 0, 0, 0, -1, 0)  # array: slices to the right, rows to inferior, columns to posterior


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetDirection(PIR)
    image.SetSpacing((1.0, 1.0, 4.0))
    sitk.WriteImage(image, str(path))


@pytest.fixture
def world(tmp_path: Path):
    """A comparison of 5 cases whose files are all there; predictions of odd cases are in fold 0, of even in fold 1."""
    comparison = toy_comparison(cases=5, findings=False)
    folders = SimpleNamespace(raw=tmp_path / "raw", results=tmp_path / "results")
    raw = folders.raw / comparison.grid.dataset
    truth = np.zeros(SHAPE, np.uint8)
    truth[2, 5:15, 8:16], truth[2, 20:30, 8:16], truth[0, 5:8, 8:16] = 1, 2, 1
    for number, case in enumerate(comparison.cases, start=1):
        write(raw / "imagesTr" / f"{case}_0000.nii.gz", np.random.default_rng(number).random(SHAPE).astype(np.float32))
        write(raw / "labelsTr" / f"{case}.nii.gz", truth)
        for system in comparison.grid.systems:
            run = comparison.grid.runs_of(system)[system.plans[0]][1 - number % 2]
            write(run.fold_folder(folders.results) / "validation" / f"{case}.nii.gz", truth)
    labels = {"background": 0, "L5": 1, "L4": 2, "ignore": 3}
    (raw / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))
    return comparison, folders


def prediction(world, case: str, label: str) -> Path:
    comparison, folders = world
    system = next(s for s in comparison.grid.systems if s.label == label)
    (file,) = folders.results.rglob(f"{system.trainer}__{system.plans[0]}__2d/fold_*/validation/{case}.nii.gz")
    return file


def test_best_median_and_worst_go_by_the_references_miou(world):
    comparison, _ = world
    own = comparison.case_scores.query("measure == 'miou' and system == 'Text-guided'").sort_values("value")
    assert chosen_cases(comparison) == dict(zip(("best", "median", "worst"), own["case"].iloc[[4, 2, 0]], strict=True))
    for count, ranks in ((1, ["only"]), (2, ["best", "worst"]), (4, ["best", "median", "worst"])):
        few = changed(
            comparison, case_scores=comparison.case_scores[comparison.case_scores["case"].isin(own["case"][:count])]
        )
        assert list(chosen_cases(few)) == ranks


def test_truth_and_all_systems_are_side_by_side_with_their_miou(world):
    comparison, folders = world
    pictures = case_pictures(comparison, folders)
    assert [picture.name for picture in pictures] == ["case_best", "case_median", "case_worst"]
    best, case = pictures[0], chosen_cases(comparison)["best"]
    scores = comparison.case_scores.query("measure == 'miou' and case == @case").set_index("system")["value"]
    titles = [axes.get_title() for axes in best.figure.axes]
    assert titles == ["image", "truth", *(f"{label}\nmIoU {scores[label]:.3f}" for label in LABELS)]
    assert best.caption.startswith("Slice 3 of 3,")
    assert case in best.title
    assert best.raster
    assert best.data().startswith(b"\x89PNG")


def test_each_panel_shows_its_own_labels_on_the_slice_with_most_of_the_truth(world):
    comparison, folders = world
    case = chosen_cases(comparison)["worst"]
    wrong = np.zeros(SHAPE, np.uint8)
    wrong[2, 33:37, 2:6] = 2
    write(prediction(world, case, "nnU-Net"), wrong)
    figure = case_pictures(comparison, folders)[2].figure
    tinted = [axes.images[1].get_array()[..., 3] > 0 for axes in figure.axes[1:]]
    np.testing.assert_array_equal(tinted[-1], wrong[2] > 0)
    assert [part.sum() for part in tinted] == [160, 160, 160, 16]
    assert {text.get_text() for text in figure.axes[1].texts} == {"L5", "L4"}
    assert [text.get_text() for text in figure.axes[-1].texts] == ["L4"]


def test_many_systems_wrap_into_rows_of_five_panels(world):
    comparison, folders = world
    wide = toy_comparison(tuple(f"s{number}" for number in range(8)), cases=5, findings=False)
    raw = folders.raw / comparison.grid.dataset
    for case in wide.cases:
        for run in wide.grid.runs():
            if run.fold == 0:
                write(run.fold_folder(folders.results) / "validation" / f"{case}.nii.gz", np.ones(SHAPE, np.uint8))
    assert raw.is_dir()
    positions = [axes.get_position() for axes in case_pictures(wide, folders)[0].figure.axes]
    assert len(positions) == 10
    assert len({round(position.y0, 3) for position in positions}) == 2
    assert len({round(position.x0, 3) for position in positions}) == 5


def test_a_case_without_files_is_left_out_with_a_note(world):
    comparison, folders = world
    case = chosen_cases(comparison)["median"]
    (folders.raw / comparison.grid.dataset / "imagesTr" / f"{case}_0000.nii.gz").unlink()
    drawn = case_pictures(comparison, folders)
    assert [picture.figure is None for picture in drawn] == [False, True, False]
    assert f"{case}_0000.nii.gz" in drawn[1].caption


def test_a_lost_prediction_is_named_and_all_lost_is_a_note(world):
    comparison, folders = world
    case = chosen_cases(comparison)["best"]
    prediction(world, case, "Visual only").unlink()
    best = case_pictures(comparison, folders)[0]
    assert len(best.figure.axes) == 4
    assert best.caption.endswith("No prediction on this machine: Visual only.")
    for label in ("Text-guided", "nnU-Net"):
        prediction(world, case, label).unlink()
    assert case_pictures(comparison, folders)[0].figure is None


def test_without_the_data_set_there_is_one_note(world, tmp_path: Path):
    comparison, folders = world
    (note,) = case_pictures(comparison, SimpleNamespace(raw=tmp_path / "none", results=folders.results))
    assert note.figure is None
    assert "Dataset100_Toy is not on this machine" in note.caption


def test_a_prediction_of_another_size_is_an_error_that_names_the_file(world):
    comparison, folders = world
    case = chosen_cases(comparison)["best"]
    file = prediction(world, case, "nnU-Net")
    write(file, np.zeros((3, 40, 25), np.uint8))
    with pytest.raises(UserError, match=case) as error:
        case_pictures(comparison, folders)
    assert str(file) in str(error.value)


def test_a_damaged_file_is_an_error_that_names_it(world):
    comparison, folders = world
    file = prediction(world, chosen_cases(comparison)["best"], "nnU-Net")
    file.write_bytes(b"nothing")
    with pytest.raises(UserError, match="is not a readable image"):
        case_pictures(comparison, folders)


def test_labels_with_dollar_signs_are_no_formulas(world):
    comparison, folders = world
    picture = case_pictures(relabelled(comparison, "nnU-Net", "a $x_{$ b"), folders)[0]
    assert picture.data()
