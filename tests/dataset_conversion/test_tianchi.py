from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import cut, write_series
from small_volumes import codes_in
from study_trees import pixels, write_tianchi, write_tianchi_study

from nnunet_textguided.cli.main import main
from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
from nnunet_textguided.dataset_conversion.tianchi import convert_tianchi
from nnunet_textguided.dataset_conversion.tianchi_annotations import read_annotations
from nnunet_textguided.errors import UserError

CASE = "tianchi_lumbar_train150_study1"


def change(source: Path, **entries: object) -> None:
    path = source / "lumbar_train150_annotation.json"
    content = json.loads(path.read_text())
    content[0]["data"][0].update(entries)
    path.write_text(json.dumps(content))


def test_sequences_are_chosen_and_nothing_is_claimed_of_any_voxel(tmp_path: Path, nnunet_raw: Path):
    source = write_tianchi(tmp_path / "source", 2)
    folder, manifest = convert_tianchi(source, 505)
    assert manifest.complete
    assert manifest.cases[CASE]["series"] == {"T2": "1.2.1.3", "T1": "1.2.1.2"}
    assert codes_in(folder / "labelsTr" / f"{CASE}.nii.gz") == {20}
    content = json.loads((folder / "dataset.json").read_text())
    assert content["channel_names"] == {"0": "T2 MRI", "1": "T1 MRI"}
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "imagesTr" / f"{CASE}_0001.nii.gz")))
    assert np.array_equal(np.sort(written, axis=None), np.sort(pixels(1 + 2), axis=None))


def test_points_become_decisions_at_their_place_in_the_image(tmp_path: Path, nnunet_raw: Path):
    source = write_tianchi(tmp_path / "source", 1)
    folder, _ = convert_tianchi(source, 505)
    rows = [line.split(",") for line in (folder / "findings.csv").read_text().splitlines()[1:]]
    assert len(rows) == 6 * 4 + 5
    image = sitk.ReadImage(str(folder / "imagesTr" / f"{CASE}_0000.nii.gz"))
    value = pixels(1 + 3)[2]
    for structure, x, y in (("T12/L1", 5, 1), ("L3", 6, 11), ("L5/S", 5, 21)):
        place = next(tuple(map(float, row[4:])) for row in rows if row[1] == structure)
        assert image[image.TransformPhysicalPointToIndex(place)] == value[y, x]
    present = {(row[1], row[2]) for row in rows if row[3] == "1"}
    assert ("L1", "vertebral degeneration") in present
    assert ("T12/L1", "disc bulge") not in present


def test_an_annotated_fat_suppressed_series_is_taken_as_it_is_annotated(tmp_path: Path, nnunet_raw: Path):
    source = write_tianchi(tmp_path / "source", 1)
    change(source, seriesUid="1.2.1.4", instanceUid="1.2.1.4.402")
    _, manifest = convert_tianchi(source, 505)
    assert manifest.cases[CASE]["series"]["T2"] == "1.2.1.4"


def test_without_annotation_the_series_without_fat_suppression_is_taken(tmp_path: Path, nnunet_raw: Path):
    source = write_tianchi(tmp_path / "source", 1)
    write_tianchi_study(source / "lumbar_testA50" / "study7", "1.9.7", 70)
    _, manifest = convert_tianchi(source, 505)
    assert "tianchi_lumbar_testA50_study7" in manifest.skipped
    _, manifest = convert_tianchi(source, 506, "All", keep_unannotated=True)
    record = manifest.cases["tianchi_lumbar_testA50_study7"]
    assert record["series"] == {"T2": "1.9.7.3", "T1": "1.9.7.2"}
    assert "findings" not in record
    assert any("fat suppression" in note for note in record["notes"])


def test_each_problem_is_one_line_and_the_rest_converts(tmp_path: Path, nnunet_raw: Path):
    source = write_tianchi(tmp_path / "source", 5)
    study = source / "lumbar_train150"
    cut(study / "study1" / "302.dcm", 100)  # of the marked series
    (study / "study2" / "302.dcm").unlink()  # the marked slice
    (study / "study3" / "203.dcm").unlink()  # a slice of T1
    for path in (study / "study4").iterdir():
        path.unlink()
    (study / "study5" / "500.dcm").write_bytes(b"no DICOM")  # an axial slice
    (study / "study5" / "out.dcm").symlink_to("/etc/hostname")
    _, manifest = convert_tianchi(source, 505)
    assert list(manifest.cases) == ["tianchi_lumbar_train150_study5"]
    assert all("\n" not in line for line in manifest.problems.values())
    expected = {
        "tianchi_lumbar_train150_study1": "302.dcm",
        "tianchi_lumbar_train150_study2": "no whole sagittal series holds the annotated slice 1.2.2.3.302",
        "tianchi_lumbar_train150_study3": "slices are missing",
        "1.2.4": "annotated, but its DICOM files are not there",
    }
    for name, text in expected.items():
        assert text in manifest.problems[name]
    notes = "\n".join(manifest.cases["tianchi_lumbar_train150_study5"]["notes"])
    assert "500.dcm" in notes
    assert "out.dcm" in notes


def test_a_point_outside_its_image_is_a_problem(tmp_path: Path, nnunet_raw: Path):
    source = write_tianchi(tmp_path / "source", 1)
    path = source / "lumbar_train150_annotation.json"
    path.write_text(path.read_text().replace('"coord": [5, 1]', '"coord": [5, 24]'))
    with pytest.raises(UserError, match=r"T12-L1 is marked at \(5, 24\), outside the 20 x 24 pixels"):
        convert_tianchi(source, 505)


def test_a_changed_annotation_makes_the_case_anew(tmp_path: Path, nnunet_raw: Path):
    source = write_tianchi(tmp_path / "source", 3)
    (source / "lumbar_train150" / "study3" / "302.dcm").unlink()
    convert_tianchi(source, 505)
    path = source / "lumbar_train150_annotation.json"
    path.write_text(path.read_text().replace('"coord": [6, 11]', '"coord": [7, 11]', 1))
    folder, manifest = convert_tianchi(source, 505)
    rows = (folder / "findings.csv").read_text().splitlines()
    first, second = (next(row for row in rows if f"study{number},L3," in row).split(",")[4:] for number in (1, 2))
    assert float(first[1]) - float(second[1]) == pytest.approx(0.5)  # one column of 0.5 mm, along +y
    assert len(manifest.cases) == 2


def test_two_processes_write_what_one_writes_and_a_dry_run_writes_nothing(tmp_path: Path, nnunet_raw: Path):
    source = write_tianchi(tmp_path / "source", 4)
    _, dry = convert_tianchi(source, 504, "Dry", settings=RunSettings(processes=2, dry_run=True))
    assert not nnunet_raw.exists()
    alone, one = convert_tianchi(source, 505, "Alone")
    pooled, two = convert_tianchi(source, 506, "Pooled", settings=RunSettings(processes=2))
    assert one.cases == two.cases
    assert dry.cases == {case: {**record, "files": {}} for case, record in one.cases.items()}
    assert (alone / "findings.csv").read_text() == (pooled / "findings.csv").read_text()


def test_the_command_takes_one_channel(tmp_path: Path, nnunet_raw: Path, capsys: pytest.CaptureFixture[str]):
    source = write_tianchi(tmp_path / "source", 2)
    arguments = ["convert", "tianchi", str(source), "-d", "505", "--channels", "T2", "--processes", "1"]
    assert main(arguments) == 0
    assert "Findings: 58 decisions" in capsys.readouterr().out
    images = nnunet_raw / "Dataset505_Tianchi" / "imagesTr"
    assert sorted(path.name for path in images.iterdir()) == [f"{CASE}_0000.nii.gz", f"{CASE[:-1]}2_0000.nii.gz"]


def test_real_annotations_meet_images_of_their_own_uids(tmp_path: Path, real_data: Path, nnunet_raw: Path):
    originals = [real_data / "tianchi_annotations" / f"lumbar_train{part}_annotation.json" for part in (150, 51)]
    studies, _ = read_annotations(originals)
    chosen = list(studies.values())[:6] + list(studies.values())[-6:]
    for number, study in enumerate(chosen):
        size = 1 + int(max(max(point.x, point.y) for point in study.points))
        folder = tmp_path / "source" / f"study{number}"
        image = {"study": study.study, "description": "t2_tse_sag", "series": study.series}
        write_series(folder, np.zeros((1, size, size), np.uint8), first_number=1, instance=study.instance, **image)
        next_slice = {"origin": (-4.0, 0.0, 0.0), "instance": f"{study.study}.98"}
        write_series(folder, np.ones((1, size, size), np.uint8), first_number=2, **next_slice, **image)
        image |= {"description": "t1_tse_sag", "series": f"{study.study}.99"}
        write_series(folder, np.ones((2, size, size), np.uint8), first_number=50, **image)
    folder, manifest = convert_tianchi(tmp_path / "source", 505, annotations=originals)
    assert len(manifest.cases) == 12
    assert len(manifest.problems) == 201 - 12  # annotated, but no files here
    rows = (folder / "findings.csv").read_text().splitlines()[1:]
    expected = sum(len(point.decisions()) for study in chosen for point in study.points if point.structure)
    assert len(rows) == expected
