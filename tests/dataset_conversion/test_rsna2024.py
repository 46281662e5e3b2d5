from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import cut, write_series
from small_volumes import codes_in
from study_trees import pixels, write_rsna

from nnunet_textguided.cli.main import main
from nnunet_textguided.dataset_conversion.rsna2024 import convert_rsna2024
from nnunet_textguided.errors import UserError


def test_a_study_is_one_case_of_both_sagittal_sequences(tmp_path: Path, nnunet_raw: Path):
    folder, manifest = convert_rsna2024(write_rsna(tmp_path / "source", 3), 503)
    assert list(manifest.cases) == ["rsna_1", "rsna_2", "rsna_3"]
    assert manifest.cases["rsna_1"]["series"] == {"T2": "1.12", "T1": "1.11"}
    assert manifest.cases["rsna_1"]["series_left_out"] == ["13"]
    assert codes_in(folder / "labelsTr" / "rsna_1.nii.gz") == {20}
    second = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "imagesTr" / "rsna_1_0001.nii.gz")))
    assert np.array_equal(np.sort(second, axis=None), np.sort(pixels(11), axis=None))


def test_severities_become_findings_where_they_were_marked(tmp_path: Path, nnunet_raw: Path):
    folder, _ = convert_rsna2024(write_rsna(tmp_path / "source", 2), 503)
    rows = [line.split(",") for line in (folder / "findings.csv").read_text().splitlines()[1:]]
    assert [row[:4] for row in rows] == [
        ["rsna_1", "L4/L5", "spinal canal stenosis", "1"],
        ["rsna_2", "L4/L5", "spinal canal stenosis", "0"],
    ]
    image = sitk.ReadImage(str(folder / "imagesTr" / "rsna_1_0000.nii.gz"))
    index = image.TransformPhysicalPointToIndex(tuple(map(float, rows[0][4:])))
    assert image[index] == pixels(12)[1, 6, 4]  # file 2 is the second slice; x 4, y 6


def test_a_channel_on_another_grid_is_resampled_by_physical_position(tmp_path: Path, nnunet_raw: Path):
    source = write_rsna(tmp_path / "source", 1)
    t1 = source / "train_images" / "1" / "11"
    for path in t1.iterdir():
        path.unlink()
    # the same T1, shifted by one slice (4 mm towards the left) and with its slices the other way round
    write_series(t1, pixels(11), study="1", series="1.11", description="", origin=(12.0, -20.0, 30.0))
    folder, manifest = convert_rsna2024(source, 503)
    assert manifest.cases["rsna_1"]["covered_by"] == {"T1": 0.8}
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "imagesTr" / "rsna_1_0001.nii.gz")))
    assert np.allclose(np.sort(written[:4], axis=None), np.sort(pixels(11)[1:], axis=None))
    assert not written[4].any()


def test_of_two_series_of_a_sequence_the_one_with_more_slices_is_taken_and_noted(tmp_path: Path, nnunet_raw: Path):
    source = write_rsna(tmp_path / "source", 1)
    with (source / "train_series_descriptions.csv").open("a") as stream:
        stream.write("1,19,Sagittal T1\n")
    where = {"study": "1", "series": "1.19", "description": "", "origin": (12.0, -20.0, 30.0)}
    write_series(source / "train_images" / "1" / "19", pixels(5, 9), **where)
    _, manifest = convert_rsna2024(source, 503)
    assert manifest.cases["rsna_1"]["series"]["T1"] == "1.19"
    assert any("more slices" in note for note in manifest.cases["rsna_1"]["notes"])


def test_each_problem_is_one_line_and_the_rest_converts(tmp_path: Path, nnunet_raw: Path):
    source = write_rsna(tmp_path / "source", 6)
    images = source / "train_images"
    cut(images / "1" / "12" / "3.dcm", 200)
    (images / "2" / "21" / "3.dcm").unlink()
    for path in (images / "3" / "32").iterdir():
        path.unlink()
    write_series(
        images / "4" / "41", pixels(1, 1), study="4", series="4.41", description="", first_number=80, plane="axial"
    )
    lines = (source / "train_series_descriptions.csv").read_text().replace("5,51,Sagittal T1\n", "")
    (source / "train_series_descriptions.csv").write_text(lines + "../../etc,1,Sagittal T1\n")
    _, manifest = convert_rsna2024(source, 503)
    assert list(manifest.cases) == ["rsna_4", "rsna_6"]
    assert list(manifest.skipped) == ["rsna_5"]
    assert all("\n" not in line for line in manifest.problems.values())
    for name, text in {"rsna_1": "3.dcm", "rsna_2": "slices are missing", "rsna_3": "no whole sagittal T2"}.items():
        assert text in manifest.problems[name]
    assert "expected a number in study_id" in "\n".join(manifest.problems.values())


def test_a_mark_on_a_slice_that_is_not_there_leaves_the_finding_without_place(tmp_path: Path, nnunet_raw: Path):
    source = write_rsna(tmp_path / "source", 2)
    marks = (source / "train_label_coordinates.csv").read_text()
    (source / "train_label_coordinates.csv").write_text(
        marks.replace("1,12,2,", "1,13,99,", 1).replace("4.0,6.0", "4,99", 2)
    )
    folder, manifest = convert_rsna2024(source, 503)
    rows = (folder / "findings.csv").read_text().splitlines()[1:]
    assert [row.endswith(",,,") for row in rows] == [True, True]
    assert "without its place" in manifest.cases["rsna_1"]["notes"][-1]
    assert "outside the pixels" in manifest.cases["rsna_2"]["notes"][-1]


def test_the_command_takes_the_threshold_and_refuses_another(tmp_path: Path, nnunet_raw: Path, capsys):
    source = write_rsna(tmp_path / "source", 2)
    table = (source / "train.csv").read_text().replace("Severe", "Moderate")
    (source / "train.csv").write_text(table)
    base = ["convert", "rsna2024", str(source), "--processes", "1"]
    assert main([*base, "-d", "503", "--severity", "severe"]) == 0
    assert "2 decisions, 0 of them present" in capsys.readouterr().out
    assert main([*base, "-d", "504", "--name", "Other"]) == 0
    assert "2 decisions, 1 of them present" in capsys.readouterr().out
    with pytest.raises(UserError, match="moderate or severe"):
        convert_rsna2024(source, 505, "Third", threshold="mild")
    with pytest.raises(UserError, match="Expected one or more of T2, T1"):
        convert_rsna2024(source, 505, "Third", ("T2", "T2"))


def _mutual_information(first: np.ndarray, second: np.ndarray) -> float:
    """Of the grey values at the same voxels, in nats: high where anatomy meets, whatever the contrast."""
    joint, _, _ = np.histogram2d(first.ravel(), second.ravel(), 48)
    joint /= joint.sum()
    alone = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / alone[seen])).sum())


_SPINE = np.s_[5:13, 30:200, 60:165]
"""Of the study's volume with every second row and column."""


def test_the_real_study_lies_on_one_grid_with_its_anatomy_aligned(tmp_path: Path, real_data: Path, nnunet_raw: Path):
    folder, _ = convert_rsna2024(real_data / "rsna2024_mini", 503)
    t2, t1 = (sitk.ReadImage(str(folder / "imagesTr" / f"rsna_100206310_{c:04d}.nii.gz")) for c in range(2))
    assert t2.GetSpacing()[2] == pytest.approx(4.48, abs=0.01)
    assert t1.GetSize() == t2.GetSize()
    assert t1.GetOrigin() == pytest.approx(t2.GetOrigin())
    fixed, moving = (np.clip(sitk.GetArrayFromImage(image)[:, ::2, ::2], 0, 800).astype(float) for image in (t2, t1))
    scores = {
        (d, h, w): _mutual_information(fixed[_SPINE], np.roll(moving, (d, h, w), (0, 1, 2))[_SPINE])
        for d in range(-2, 3)
        for h in range(-2, 3)
        for w in range(-2, 3)
    }
    slices, rows, columns = max(scores, key=scores.get)
    assert slices == 0
    assert max(abs(rows), abs(columns)) <= 1  # of 1.07 mm, as every second pixel was taken
    # stacked file by file as if the grids were the same, which is what a reader without geometry does
    naive = _stacked_without_geometry(real_data / "rsna2024_mini" / "train_images" / "100206310" / "2092806862", t2)
    assert _mutual_information(fixed[_SPINE], naive[:, ::2, ::2][_SPINE]) < 0.8 * scores[0, 0, 0]


def _stacked_without_geometry(folder: Path, like: sitk.Image) -> np.ndarray:
    files = sorted(folder.glob("*.dcm"), key=lambda path: int(path.stem))
    slices = [sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0] for path in files]
    width, height, _ = like.GetSize()
    return np.clip(np.stack(slices)[:, :height, :width], 0, 800).astype(float)


def test_marks_of_the_real_study_lie_in_its_spine(real_data: Path, nnunet_raw: Path):
    """Marks of the canal descend from L1/L2 to L5/S, and left is to the left (LPS: larger x) of right."""
    folder, _ = convert_rsna2024(real_data / "rsna2024_mini", 503)
    rows = [line.split(",") for line in (folder / "findings.csv").read_text().splitlines()[1:]]
    place = {(row[1], row[2]): tuple(map(float, row[4:])) for row in rows}
    heights = [place[level, "spinal canal stenosis"][2] for level in ("L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S")]
    assert heights == sorted(heights, reverse=True)
    for level in ("L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S"):
        for condition in ("foraminal narrowing", "subarticular stenosis"):
            assert place[level, f"left {condition}"][0] > place[level, f"right {condition}"][0]
