from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from spider_trees import Writer, volume

from nnunet_textguided.dataset_conversion.base import workers
from nnunet_textguided.dataset_conversion.base.cases import convert_case
from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
from nnunet_textguided.dataset_conversion.spider import SpiderOptions, convert_spider
from nnunet_textguided.errors import UserError


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _json(path: Path) -> dict:
    return json.loads(path.read_text())


def _labels(folder: Path, case: str) -> set[int]:
    return set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "labelsTr" / f"{case}.nii.gz")))).tolist())


def test_one_sequence_makes_cases_named_by_patient(spider_source: Path, write_series: Writer, nnunet_raw: Path) -> None:
    for patient in (5, 17, 218):
        write_series(f"{patient}_t2_SPACE", (1, 201, 9, 209, 100, 103, 12))
    folder, manifest = convert_spider(spider_source, 501)
    assert folder == nnunet_raw / "Dataset501_SPIDER"
    cases = ("spider_005", "spider_017", "spider_218")
    assert _files(folder) == {
        *(f"imagesTr/{case}_0000.nii.gz" for case in cases),
        *(f"labelsTr/{case}.nii.gz" for case in cases),
        *("dataset.json", "manifest.json", "splits_final.json"),
    }
    dataset = _json(folder / "dataset.json")
    assert dataset["numTraining"] == 3
    assert dataset["channel_names"] == {"0": "T2 MRI"}
    assert dataset["file_ending"] == ".nii.gz"
    assert (dataset["labels"]["background"], dataset["labels"]["S"], dataset["labels"]["T9/T10"]) == (0, 1, 19)
    assert dataset["text_guidance"] == {"orientation": "PIR", "missing": {"spider": ["S"]}}
    assert _labels(folder, "spider_005") == {0, 2, 11, 10, 19, 4}
    assert manifest.complete


def test_several_sequences_make_a_case_each_and_stay_together_in_splits(
    spider_source: Path, write_series: Writer, nnunet_raw: Path
) -> None:
    for patient in range(1, 8):
        write_series(f"{patient}_t1")
        write_series(f"{patient}_t2")
    folder, _ = convert_spider(spider_source, 7)
    assert folder.name == "Dataset007_SPIDER"
    dataset = _json(folder / "dataset.json")
    assert dataset["numTraining"] == 14
    assert dataset["channel_names"] == {"0": "MRI"}
    splits = _json(folder / "splits_final.json")
    assert len(splits) == 5
    for split in splits:
        assert {case[:10] for case in split["train"]}.isdisjoint({case[:10] for case in split["val"]})
        assert len(split["train"]) + len(split["val"]) == 14


def test_a_choice_of_sequences_leaves_the_others_and_says_who_has_no_case(
    spider_source: Path, write_series: Writer, nnunet_raw: Path
) -> None:
    for name in ("1_t1", "1_t2", "2_t1", "3_t2"):
        write_series(name)
    folder, manifest = convert_spider(spider_source, 501, options=SpiderOptions(sequences=("t1",)))
    assert sorted(manifest.cases) == ["spider_001", "spider_002"]
    assert manifest.skipped == {"spider_003": "has t2, not t1"}
    assert _json(folder / "dataset.json")["channel_names"] == {"0": "T1 MRI"}


def test_a_marked_place_is_found_again_in_image_and_label_map(
    spider_source: Path, write_series: Writer, nnunet_raw: Path
) -> None:
    write_series("1_t2")
    intensities, mask = np.zeros((4, 6, 5), dtype=np.float64), np.zeros((4, 6, 5), dtype=np.uint8)
    intensities[2, 5, 1], mask[2, 5, 1] = 321.5, 203
    for sub, array in (("images", intensities), ("masks", mask)):
        sitk.WriteImage(volume(array), str(spider_source / sub / "2_t2.mha"))
    folder, manifest = convert_spider(spider_source, 501)
    place = volume(mask).TransformIndexToPhysicalPoint((1, 5, 2))
    for name, value in (("imagesTr/spider_002_0000.nii.gz", 321.5), ("labelsTr/spider_002.nii.gz", 13)):
        written = sitk.ReadImage(str(folder / name))
        assert sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(written.GetDirection()) == "PIR"
        (found,) = np.argwhere(sitk.GetArrayFromImage(written) == value)
        assert written.TransformIndexToPhysicalPoint([int(i) for i in found[::-1]]) == pytest.approx(place, abs=1e-3)
    record = manifest.cases["spider_002"]
    assert record["codes"] == {"0": {"to": 0, "voxels": 119}, "203": {"to": 13, "voxels": 1}}
    assert record["geometry"]["size"] == (5, 6, 4)
    assert record["geometry"]["orientation"] != "PIR"


def test_channels_make_one_case_a_patient_on_the_first_ones_grid(
    spider_source: Path, write_series: Writer, nnunet_raw: Path
) -> None:
    write_series("1_t1", (1,))
    write_series("1_t2", (2,))
    write_series("2_t1", (1,))
    write_series("2_t2", (2,), origin=(3.0, -20.0, 12.6))  # x runs along world z: 2 voxels of 0.8 mm on
    write_series("3_t1")
    folder, manifest = convert_spider(spider_source, 501, options=SpiderOptions(channels=("t1", "t2")))
    assert sorted(manifest.cases) == ["spider_001", "spider_002"]
    assert list(manifest.skipped) == ["spider_003"]
    assert _json(folder / "dataset.json")["channel_names"] == {"0": "T1 MRI", "1": "T2 MRI"}
    first, second = (
        sitk.GetArrayFromImage(
            sitk.DICOMOrient(sitk.ReadImage(str(folder / "imagesTr" / f"spider_002_000{channel}.nii.gz")), code)
        )
        for channel, code in ((0, "SRP"), (1, "SRP"))
    )
    assert np.allclose(second[:, :, 2:], first[:, :, :-2], atol=1e-3)
    assert _labels(folder, "spider_002") == {0, 2}
    assert manifest.cases["spider_001"]["covered_by"] == {"images/1_t2.mha": 1.0}
    assert manifest.cases["spider_002"]["covered_by"] == {"images/2_t2.mha": 0.6}


def _break_code(source: Path) -> str:
    sitk.WriteImage(volume(np.full((4, 6, 5), 99, dtype=np.int16)), str(source / "masks" / "2_t2.mha"))
    return r"^spider_002: unknown label code 99 \(120 voxels\)"


def _break_grid(source: Path) -> str:
    sitk.WriteImage(volume(np.zeros((4, 6, 6), dtype=np.int16)), str(source / "masks" / "2_t2.mha"))
    return r"^spider_002: image and mask lie on different grids: .*size \(5, 6, 4\).*size \(6, 6, 4\)"


def _break_file(source: Path) -> str:
    (source / "images" / "2_t2.mha").write_bytes(b"not an image")
    return r"^spider_002: .*2_t2\.mha: is damaged"


def _break_dimension(source: Path) -> str:
    sitk.WriteImage(sitk.Image(4, 5, sitk.sitkInt16), str(source / "images" / "2_t2.mha"))
    return r"^spider_002: .*2_t2\.mha: expected a 3D image"


def _lose_mask(source: Path) -> str:
    (source / "masks" / "2_t2.mha").unlink()
    return r"^spider_002: .*masks/2_t2\.mha: cannot be read"


@pytest.mark.parametrize("damage", [_break_code, _break_grid, _break_file, _break_dimension, _lose_mask])
def test_a_bad_case_is_named_and_the_others_are_converted(
    spider_source: Path, write_series: Writer, nnunet_raw: Path, damage: Callable[[Path], str]
) -> None:
    for patient in (1, 2, 3):
        write_series(f"{patient}_t2")
    message = damage(spider_source)
    folder, manifest = convert_spider(spider_source, 501)
    with pytest.raises(UserError, match=message):
        raise UserError(manifest.problems["spider_002"])
    assert not manifest.complete
    assert sorted(manifest.cases) == ["spider_001", "spider_003"]
    assert _json(folder / "dataset.json")["numTraining"] == 2
    assert not [name for name in _files(folder) if "spider_002" in name]
    assert "spider_002" not in (folder / "splits_final.json").read_text()
    write_series("2_t2")
    _, manifest = convert_spider(spider_source, 501)
    assert manifest.complete
    assert _json(folder / "dataset.json")["numTraining"] == 3


def test_worker_processes_give_the_same_as_none(spider_source: Path, write_series: Writer, nnunet_raw: Path) -> None:
    for patient in (1, 2, 3):
        write_series(f"{patient}_t2")
    _break_code(spider_source)
    alone, manifest = convert_spider(spider_source, 501, settings=RunSettings(processes=1))
    pooled, pooled_manifest = convert_spider(spider_source, 502, settings=RunSettings(processes=2))
    assert pooled_manifest.cases == manifest.cases
    assert pooled_manifest.problems == manifest.problems
    for name in _files(alone) - {"manifest.json"}:
        assert (alone / name).read_bytes() == (pooled / name).read_bytes()


def test_odd_file_names_are_problems_and_other_files_are_not(
    spider_source: Path, write_series: Writer, nnunet_raw: Path
) -> None:
    for name in ("1_t2", "2_t2", "3 t2", "4_t3", "002_t2"):
        write_series(name)
    for stray in ("._1_t2.mha", "readme.txt"):
        (spider_source / "images" / stray).write_text("")
    _, manifest = convert_spider(spider_source, 501)
    assert sorted(manifest.problems) == ["2_t2.mha", "3 t2.mha", "4_t3.mha"]
    assert "002_t2.mha" in manifest.problems["2_t2.mha"]
    assert sorted(manifest.cases) == ["spider_001", "spider_002"]


def test_supplied_splits_are_taken_over_and_installed(
    spider_source: Path, write_series: Writer, nnunet_raw: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    for patient in (1, 2, 3):
        write_series(f"{patient}_t2")
    splits = [{"train": ["spider_003"], "val": ["spider_001"]}]
    (spider_source / "splits_final.json").write_text(json.dumps(splits))
    folder, manifest = convert_spider(spider_source, 501)
    assert _json(folder / "splits_final.json") == splits
    assert _json(tmp_path / "preprocessed" / folder.name / "splits_final.json") == splits
    assert "1 cases are in none" in manifest.splits


def test_bad_supplied_splits_stop_before_anything_is_written(
    spider_source: Path, write_series: Writer, nnunet_raw: Path
) -> None:
    write_series("1_t2")
    (spider_source / "splits_final.json").write_text(json.dumps([{"train": ["spider_009"], "val": ["spider_001"]}]))
    with pytest.raises(UserError, match="spider_009"):
        convert_spider(spider_source, 501)
    assert not nnunet_raw.exists()


def test_an_interrupted_run_goes_on_where_it_stopped(
    spider_source: Path, write_series: Writer, nnunet_raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patient in (1, 2, 3, 4):
        write_series(f"{patient}_t2", (patient, 201))
    done: list[str] = []

    def interrupted(task: object, write: bool) -> dict:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task.case)
        return convert_case(task)

    monkeypatch.setattr(workers, "convert_case", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert_spider(spider_source, 501)
    monkeypatch.undo()
    monkeypatch.setenv("nnUNet_raw", str(nnunet_raw))
    folder = nnunet_raw / "Dataset501_SPIDER"
    assert not (folder / "dataset.json").exists()
    kept = {name: (folder / name).stat().st_mtime_ns for name in _files(folder) if name.endswith(".nii.gz")}
    assert len(kept) == 4
    (folder / "imagesTr" / ".partial-1-spider_003_0000.nii.gz").write_bytes(b"half")
    (folder / "imagesTr" / "spider_004_0000.nii.gz").write_bytes(b"written, but not yet in the manifest")
    _, manifest = convert_spider(spider_source, 501)
    assert manifest.complete
    assert {name: (folder / name).stat().st_mtime_ns for name in kept} == kept
    monkeypatch.setenv("nnUNet_raw", str(nnunet_raw.parent / "other"))
    straight, _ = convert_spider(spider_source, 501)
    assert _files(folder) == _files(straight)
    for name in _files(folder):
        assert (folder / name).read_bytes() == (straight / name).read_bytes()


def test_a_changed_source_or_a_damaged_output_is_converted_again(
    spider_source: Path, write_series: Writer, nnunet_raw: Path
) -> None:
    for patient in (1, 2, 3):
        write_series(f"{patient}_t2", (1, 201))
    (spider_source / "masks" / "3_t2.mha").unlink()  # keeps the conversion open
    folder, _ = convert_spider(spider_source, 501)
    write_series("1_t2", (5, 205))
    (folder / "labelsTr" / "spider_002.nii.gz").write_bytes(b"")
    convert_spider(spider_source, 501)
    assert _labels(folder, "spider_001") == {0, 6, 15}
    assert _labels(folder, "spider_002") == {0, 2, 11}


def test_a_converted_case_whose_source_is_now_bad_or_gone_leaves_the_data_set(
    spider_source: Path, write_series: Writer, nnunet_raw: Path
) -> None:
    for patient in (1, 2, 3, 4):
        write_series(f"{patient}_t2")
    (spider_source / "masks" / "4_t2.mha").unlink()  # keeps the conversion open
    folder, _ = convert_spider(spider_source, 501)
    assert _labels(folder, "spider_003") == {0, 2, 11, 3}
    _break_code(spider_source)
    for sub in ("images", "masks"):
        (spider_source / sub / "3_t2.mha").unlink()
    write_series("5_t2")
    _, manifest = convert_spider(spider_source, 501)
    assert sorted(manifest.cases) == ["spider_001", "spider_005"]
    assert {name for name in _files(folder) if "Tr/" in name} == {
        *("imagesTr/spider_001_0000.nii.gz", "labelsTr/spider_001.nii.gz"),
        *("imagesTr/spider_005_0000.nii.gz", "labelsTr/spider_005.nii.gz"),
    }


def test_a_finished_data_set_is_left_alone_without_overwrite(
    spider_source: Path, write_series: Writer, nnunet_raw: Path
) -> None:
    for patient in (1, 2):
        write_series(f"{patient}_t2", (1, 100))
        write_series(f"{patient}_t1")
    folder, _ = convert_spider(spider_source, 501)
    before = {name: (folder / name).stat().st_mtime_ns for name in _files(folder)}
    with pytest.raises(UserError, match=r"complete \(4 cases\).*--overwrite"):
        convert_spider(spider_source, 501)
    with pytest.raises(UserError, match=r"canal was False, now True.*--overwrite"):
        convert_spider(spider_source, 501, options=SpiderOptions(canal=True))
    assert {name: (folder / name).stat().st_mtime_ns for name in _files(folder)} == before
    options = SpiderOptions(sequences=("t2",), canal=True)
    convert_spider(spider_source, 501, options=options, settings=RunSettings(overwrite=True))
    assert {name for name in _files(folder) if "labelsTr" in name} == {
        "labelsTr/spider_001.nii.gz",
        "labelsTr/spider_002.nii.gz",
    }
    assert _labels(folder, "spider_001") == {0, 2, 20}
    assert _json(folder / "dataset.json")["labels"]["canal"] == 20


def test_a_folder_of_someone_else_is_left_alone_even_with_overwrite(
    spider_source: Path, write_series: Writer, nnunet_raw: Path
) -> None:
    write_series("1_t2")
    (nnunet_raw / "Dataset501_SPIDER").mkdir(parents=True)
    (nnunet_raw / "Dataset501_SPIDER" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="not written by this command"):
        convert_spider(spider_source, 501, settings=RunSettings(overwrite=True))
    assert _files(nnunet_raw) == {"Dataset501_SPIDER/notes.txt"}


def test_an_id_of_another_name_is_refused(spider_source: Path, write_series: Writer, nnunet_raw: Path) -> None:
    write_series("1_t2")
    (nnunet_raw / "Dataset501_Other").mkdir(parents=True)
    with pytest.raises(UserError, match=r"501 is already taken.*Dataset501_Other"):
        convert_spider(spider_source, 501)


def test_errors_before_the_start_say_what_to_do(
    spider_source: Path, write_series: Writer, nnunet_raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="asked for any sequence, found none"):
        convert_spider(spider_source, 501)
    write_series("1_t2")
    with pytest.raises(UserError, match="asked for t1 and t2, found t2"):
        convert_spider(spider_source, 501, options=SpiderOptions(channels=("t1", "t2")))
    with pytest.raises(UserError, match="not both"):
        convert_spider(spider_source, 501, options=SpiderOptions(sequences=("t1",), channels=("t1", "t2")))
    with pytest.raises(UserError, match="from 1 to 999"):
        convert_spider(spider_source, 1000)
    with pytest.raises(UserError, match="'a b'"):
        convert_spider(spider_source, 501, name="a b")
    monkeypatch.delenv("nnUNet_raw")
    with pytest.raises(UserError, match="export nnUNet_raw="):
        convert_spider(spider_source, 501)
    shutil.rmtree(spider_source / "masks")
    monkeypatch.setenv("nnUNet_raw", str(nnunet_raw))
    with pytest.raises(UserError, match="'masks' is not there"):
        convert_spider(spider_source, 501)


def test_nothing_convertible_lists_every_problem(spider_source: Path, write_series: Writer, nnunet_raw: Path) -> None:
    write_series("1_t2", (99,))
    write_series("2_t2", (98,))
    with pytest.raises(UserError, match=r"(?s)None of the 2.*spider_001: .*99.*spider_002: .*98"):
        convert_spider(spider_source, 501)
    assert not (nnunet_raw / "Dataset501_SPIDER" / "dataset.json").exists()
