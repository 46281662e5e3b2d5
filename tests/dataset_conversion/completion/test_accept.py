"""Masks back into labelsTr: checked, turned by position, recorded, and the former label maps kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from spider_trees import Writer

from nnunet_textguided.cli.main import main
from nnunet_textguided.dataset_conversion.base.manifest import Manifest
from nnunet_textguided.files import file_sha256
from nnunet_textguided.inference.reorient import to_orientation


def read(path: Path) -> sitk.Image:
    return sitk.ReadImage(str(path))


def codes(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(read(path))


@pytest.fixture
def drafts(dataset: Path, tmp_path: Path) -> Path:
    """Drafts of `none_a` and `none_b` from imported masks: the mask of `full`, with its disc in two for `none_b`."""
    whole = read(dataset / "labelsTr" / "full.nii.gz")
    parted = sitk.Image(whole)
    parted[7:9, 9:12, :] = 0
    (tmp_path / "m").mkdir()
    sitk.WriteImage(whole, str(tmp_path / "m" / "none_a.nii.gz"))
    sitk.WriteImage(parted, str(tmp_path / "m" / "none_b.nii.gz"))
    folder = tmp_path / "drafts"
    assert main(["complete", "draft", "901", "-o", str(folder), "--masks", str(tmp_path / "m")]) == 0
    return folder


@pytest.fixture
def accept(drafts: Path, capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    def run(*more: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["complete", "accept", "901", str(drafts), *more])
        return status, *capsys.readouterr()

    return run


def completion(dataset: Path) -> dict:
    return json.loads((dataset / "completion.json").read_text())["cases"]


def test_drafts_and_corrections_go_back_and_the_former_label_maps_are_kept(
    dataset: Path, drafts: Path, accept: Callable
) -> None:
    before = {path.name: path.read_bytes() for path in (dataset / "labelsTr").iterdir()}
    corrected = read(drafts / "none_a.nii.gz")
    corrected[0:2, 0:2, 0:2] = 1  # 8 voxels of background
    sitk.WriteImage(corrected, str(drafts / "none_a.nii.gz"))
    status, out, _ = accept()
    assert status == 0
    assert "2 masks accepted" in out
    assert "1 drafts as they were, 1 corrected, 0 drawn by hand" in out
    assert "nnUNetv2_preprocess -d 901" in out
    for case in ("none_a", "none_b"):
        label, image = read(dataset / "labelsTr" / f"{case}.nii.gz"), read(dataset / "imagesTr" / f"{case}_0000.nii.gz")
        np.testing.assert_array_equal(sitk.GetArrayFromImage(label), codes(drafts / f"{case}.nii.gz"))
        assert label.GetPixelID() == sitk.sitkUInt8
        assert label.GetDirection() == pytest.approx(image.GetDirection())
        assert (dataset / "labelsTr_before" / f"{case}.nii.gz").read_bytes() == before[f"{case}.nii.gz"]
        assert completion(dataset)[case]["sha256"] == file_sha256(dataset / "labelsTr" / f"{case}.nii.gz")
    assert completion(dataset)["none_a"]["corrected_voxels"] == 8
    assert completion(dataset)["none_b"]["corrected_voxels"] == 0
    assert completion(dataset)["none_a"]["source"] == "imported draft"
    for name in ("full.nii.gz", "part.nii.gz"):
        assert (dataset / "labelsTr" / name).read_bytes() == before[name]
    assert sorted(path.name for path in (dataset / "labelsTr").iterdir()) == sorted(before)


def test_nnunet_still_accepts_the_data_set(dataset: Path, accept: Callable) -> None:
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    assert accept()[0] == 0
    verify_dataset_integrity(str(dataset), num_processes=1)


def test_a_correction_of_another_format_and_orientation_is_found_and_turned(
    dataset: Path, drafts: Path, accept: Callable
) -> None:
    corrected = read(drafts / "none_a.nii.gz")
    corrected[0:3, 0:1, 0:1] = 2
    sitk.WriteImage(to_orientation(corrected, "RAS"), str(drafts / "none_a.nrrd"))
    assert accept()[0] == 0
    label = read(dataset / "labelsTr" / "none_a.nii.gz")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(label), sitk.GetArrayFromImage(corrected))
    assert label.GetSize() == corrected.GetSize()
    assert completion(dataset)["none_a"]["corrected_voxels"] == 3
    assert completion(dataset)["none_a"]["mask"] == "none_a.nrrd"


def test_two_files_that_both_may_be_the_correction_are_a_problem(dataset: Path, drafts: Path, accept: Callable) -> None:
    changed = read(drafts / "none_a.nii.gz") * 0 + 1
    sitk.WriteImage(changed, str(drafts / "none_a.nii.gz"))
    sitk.WriteImage(changed, str(drafts / "none_a.mha"))
    status, out, error = accept()
    assert status == 1
    assert "none_a.nii.gz, none_a.mha could all be the corrected mask" in error
    assert "1 masks accepted" in out


def shifted(mask: sitk.Image) -> sitk.Image:
    moved = sitk.Image(mask)
    moved.SetOrigin(tuple(value + 1 for value in mask.GetOrigin()))
    return moved


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shifted, "lie on different grids"),
        (lambda mask: mask[1:], "lie on different grids"),
        (lambda mask: to_orientation(shifted(mask), "LPS"), "lie on different grids"),
        (lambda mask: mask * 10, "unknown label code 10, 20"),
        (lambda mask: sitk.Cast(mask, sitk.sitkFloat32) / 2, "not whole numbers"),
        (lambda mask: sitk.Cast(mask, sitk.sitkInt16) - 1, "unknown label code -1"),
        (lambda mask: mask * 0 + 3, "annotates nothing"),
        (lambda mask: sitk.Compose(mask, mask), "one value a voxel"),
    ],
)
def test_a_mask_that_cannot_be_is_a_problem_and_the_rest_is_accepted(
    dataset: Path, drafts: Path, accept: Callable, change: Callable, message: str
) -> None:
    before = (dataset / "labelsTr" / "none_a.nii.gz").read_bytes()
    sitk.WriteImage(change(read(drafts / "none_a.nii.gz")), str(drafts / "none_a.nii.gz"))
    status, out, error = accept()
    assert status == 1
    assert [line for line in error.splitlines() if message in line and line.startswith("  none_a: ")]
    assert "1 masks accepted" in out
    assert (dataset / "labelsTr" / "none_a.nii.gz").read_bytes() == before
    assert list(completion(dataset)) == ["none_b"]


def test_a_file_cut_short_and_a_misspelt_name_are_problems(dataset: Path, drafts: Path, accept: Callable) -> None:
    mask = drafts / "none_a.nii.gz"
    mask.write_bytes(mask.read_bytes()[:-30])
    (drafts / "none_b.nii.gz").rename(drafts / "none_B.nii.gz")
    status, out, error = accept()
    assert status == 1
    assert "none_a.nii.gz is not a readable image" in error
    assert "Dataset901_Toy has no case 'none_B'; rename the file" in error
    assert "0 masks accepted" in out


def test_a_segmentation_in_slicers_own_format_is_explained(drafts: Path, accept: Callable) -> None:
    (drafts / "none_a.nii.gz").rename(drafts / "none_a.seg.nrrd")
    status, _, error = accept()
    assert status == 1
    assert "Export it as a label map" in error


def test_only_plausible_masks_can_be_asked_for(dataset: Path, drafts: Path, accept: Callable) -> None:
    status, out, _ = accept("--only-plausible")
    assert status == 0
    assert "1 doubtful ones left out: none_b" in out
    assert list(completion(dataset)) == ["none_a"]
    assert (codes(dataset / "labelsTr" / "none_b.nii.gz") == 3).all()


def test_check_looks_at_the_corrections(dataset: Path, drafts: Path, capsys: pytest.CaptureFixture) -> None:
    shutil.copy(dataset / "labelsTr" / "full.nii.gz", drafts / "none_b.nii.gz")
    capsys.readouterr()
    assert main(["complete", "check", "901", str(drafts)]) == 0
    assert "0 of 2 masks are doubtful" in capsys.readouterr().out


def test_an_accepted_mask_does_not_vouch_for_itself(
    dataset: Path, drafts: Path, accept: Callable, capsys: pytest.CaptureFixture
) -> None:
    for number in range(6):  # of one voxel of L5 each, so that six such masks would make it usual
        case = f"more_{number}"
        shutil.copy(dataset / "imagesTr" / "none_a_0000.nii.gz", dataset / "imagesTr" / f"{case}_0000.nii.gz")
        mask = read(dataset / "labelsTr" / "full.nii.gz") * 0
        mask[5, 5, 3] = 1
        sitk.WriteImage(mask, str(drafts / f"{case}.nii.gz"))
    assert accept()[0] == 0
    assert main(["complete", "check", "901", str(drafts)]) == 0
    review = (drafts / "review.csv").read_text()
    assert "usual" not in review
    assert "is missing, which" not in review


def test_chosen_cases_alone_are_accepted(dataset: Path, drafts: Path, accept: Callable) -> None:
    assert accept("--cases", "none_b")[0] == 0
    assert list(completion(dataset)) == ["none_b"]
    status, _, error = accept("--cases", "part")
    assert status == 1
    assert "has no mask of it" in error
    assert accept("--cases", "../none_b")[0] == 2


def test_a_full_mask_is_replaced_only_if_it_is_named(dataset: Path, drafts: Path, accept: Callable) -> None:
    drawn = read(dataset / "labelsTr" / "full.nii.gz")
    drawn[4:6, 2:3, 0:1] = 2  # two voxels of L5 become L5/S
    sitk.WriteImage(drawn, str(drafts / "full.nii.gz"))
    before = (dataset / "labelsTr" / "full.nii.gz").read_bytes()
    status, _, error = accept()
    assert status == 1
    assert "annotated throughout already" in error
    assert (dataset / "labelsTr" / "full.nii.gz").read_bytes() == before
    assert accept("--cases", "full")[0] == 0
    entry = completion(dataset)["full"]
    assert entry["source"] == "drawn by hand"
    assert entry["corrected_voxels"] is None
    assert entry["changed_annotated_voxels"] == 2


def test_a_second_correction_is_accepted_and_the_first_label_map_stays_kept(
    dataset: Path, drafts: Path, accept: Callable
) -> None:
    before = (dataset / "labelsTr" / "none_a.nii.gz").read_bytes()
    assert accept()[0] == 0
    again = read(drafts / "none_a.nii.gz")
    again[0:1, 0:1, 0:1] = 1
    sitk.WriteImage(again, str(drafts / "none_a.nii.gz"))
    assert accept()[0] == 0
    np.testing.assert_array_equal(codes(dataset / "labelsTr" / "none_a.nii.gz"), sitk.GetArrayFromImage(again))
    assert (dataset / "labelsTr_before" / "none_a.nii.gz").read_bytes() == before


def test_a_conversion_that_goes_on_keeps_accepted_masks(
    spider_source: Path, write_series: Writer, nnunet_raw: Path, tmp_path: Path
) -> None:
    for patient in (1, 2):
        write_series(f"{patient}_t2", (1, 201, 101))
    write_series("3_t2", (99,))  # an unknown code, so that the conversion is not complete and may be run again
    convert = ["convert", "spider", str(spider_source), "-d", "902", "--partial", "ignore", "--processes", "1"]
    assert main(convert) == 1
    folder = nnunet_raw / "Dataset902_SPIDER"
    label = folder / "labelsTr" / "spider_001.nii.gz"
    drawn = read(label)
    drawn[0:5, 1:4, 0:2] = 2
    drafts = tmp_path / "drafts"
    drafts.mkdir()
    sitk.WriteImage(drawn, str(drafts / "spider_001.nii.gz"))
    size = label.stat().st_size
    assert main(["complete", "accept", "902", str(drafts)]) == 0
    assert label.stat().st_size != size  # what the manifest tells a changed file by
    assert main(convert) == 1
    np.testing.assert_array_equal(codes(label), sitk.GetArrayFromImage(drawn))
    assert Manifest.load(folder).cases["spider_001"]["accepted"]["source"] == "drawn by hand"


def test_an_accepted_mask_outlives_a_change_of_its_source_and_overwriting_is_refused(
    spider_source: Path, write_series: Writer, nnunet_raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_series("1_t2", (1, 201, 101))
    write_series("2_t2")
    write_series("3_t2", (99,))
    convert = ["convert", "spider", str(spider_source), "-d", "902", "--partial", "ignore", "--processes", "1"]
    assert main(convert) == 1
    folder = nnunet_raw / "Dataset902_SPIDER"
    label = folder / "labelsTr" / "spider_001.nii.gz"
    drawn = read(label)
    drawn[0:5, 1:4, 0:2] = 2
    (tmp_path / "drafts").mkdir()
    sitk.WriteImage(drawn, str(tmp_path / "drafts" / "spider_001.nii.gz"))
    assert main(["complete", "accept", "902", str(tmp_path / "drafts")]) == 0
    write_series("1_t2", (1, 201, 102))
    capsys.readouterr()
    assert main(convert) == 1
    assert "changed since its mask was accepted; nothing was touched" in capsys.readouterr().err
    np.testing.assert_array_equal(codes(label), sitk.GetArrayFromImage(drawn))
    assert main([*convert, "--overwrite"]) == 2
    assert "holds 1 label maps that were accepted" in capsys.readouterr().err
    np.testing.assert_array_equal(codes(label), sitk.GetArrayFromImage(drawn))
