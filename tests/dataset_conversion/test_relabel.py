"""Relabelling files: grids and volumes stay, everything else is refused or said."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from spider_trees import volume

from nnunet_textguided.dataset_conversion.relabelling.relabel import RelabelOptions, RelabelResult, relabel
from nnunet_textguided.errors import UserError

FROM_TSS = RelabelOptions(source="totalspineseg")


def write_mask(path: Path, codes: tuple[float, ...], dtype: type = np.int16) -> np.ndarray:
    """A mask on an oblique grid with these codes at its start, two voxels each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((4, 6, 5), dtype=dtype)
    mask.flat[: 2 * len(codes)] = np.repeat(np.array(codes, dtype=dtype), 2)
    sitk.WriteImage(volume(mask), str(path))
    return mask


def read(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def counts(path: Path) -> dict[int, int]:
    values, numbers = np.unique(read(path), return_counts=True)
    return dict(zip(values.tolist(), numbers.tolist(), strict=True))


def run(folder: Path, options: RelabelOptions, **kwargs: bool) -> RelabelResult:
    return relabel(folder / "masks", folder / "out", options, **kwargs)


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".nrrd"])
def test_codes_change_and_the_grid_does_not(tmp_path: Path, ending: str) -> None:
    source = tmp_path / "masks" / f"study 1 (ü){ending}"
    mask = write_mask(source, (45, 44, 100, 2, 1, 11))
    run(tmp_path, FROM_TSS)
    before, after = sitk.ReadImage(str(source)), sitk.ReadImage(str(tmp_path / "out" / source.name))
    assert after.GetPixelID() == sitk.sitkUInt8
    assert np.allclose(after.GetOrigin(), before.GetOrigin(), rtol=0, atol=1e-6)
    assert np.allclose(after.GetSpacing(), before.GetSpacing(), rtol=0, atol=1e-6)
    assert np.allclose(after.GetDirection(), before.GetDirection(), rtol=0, atol=1e-6)
    written = sitk.GetArrayFromImage(after)
    for old, new in {45: 2, 44: 3, 100: 11}.items():
        assert np.array_equal(written == new, mask == old)
    assert np.count_nonzero(written) == 6


def test_nifti_affine_is_kept(tmp_path: Path) -> None:
    affine = np.array([[0.0, 0.0, 3.3, -40.0], [-0.6, 0.0, 0.0, 50.0], [0.0, -0.6, 0.0, 90.0], [0, 0, 0, 1]])
    data = np.zeros((6, 5, 4), np.uint8)
    data[0] = 45
    (tmp_path / "masks").mkdir()
    nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / "masks" / "a.nii.gz")
    run(tmp_path, FROM_TSS)
    written = nibabel.load(tmp_path / "out" / "a.nii.gz")
    assert np.allclose(written.affine, affine, atol=1e-5)
    assert np.array_equal(np.asarray(written.dataobj), np.where(data == 45, 2, 0))


def test_a_flat_mask_stays_flat(tmp_path: Path) -> None:
    codes = np.array([[1, 2, 3], [4, 5, 6], [10, 0, 0]], np.int16)
    image = sitk.GetImageFromArray(codes)
    image.SetSpacing((0.5, 0.75))
    image.SetOrigin((-3.0, 4.0))
    (tmp_path / "masks").mkdir()
    sitk.WriteImage(image, str(tmp_path / "masks" / "Case417.nii.gz"))
    result = run(tmp_path, RelabelOptions(source="dgmsnet"))
    written = sitk.ReadImage(str(tmp_path / "out" / "Case417.nii.gz"))
    assert (written.GetSpacing(), written.GetOrigin()) == ((0.5, 0.75), (-3.0, 4.0))
    assert sitk.GetArrayFromImage(written).tolist() == [[6, 5, 4], [3, 2, 15], [11, 0, 0]]
    assert result.missing[:2] == ["S", "T12"]


def test_the_record_says_what_became_what(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "a.nii.gz", (45, 100, 11))
    options = RelabelOptions(source="totalspineseg", codes={11: "ignore"}, canal=True)
    run(tmp_path, options)
    record = json.loads((tmp_path / "out" / "relabel.json").read_text(encoding="utf-8"))
    assert record["options"]["codes"] == {"11": "ignore"}
    assert (record["labels"]["canal"], record["labels"]["ignore"]) == (20, 21)
    assert record["files"]["a.nii.gz"]["codes"] == {
        "0": {"name": "background", "to": 0, "voxels": 114},
        "11": {"name": "ignore", "to": 21, "voxels": 2},
        "45": {"name": "L5", "to": 2, "voxels": 2},
        "100": {"name": "L5/S", "to": 11, "voxels": 2},
    }
    assert (record["problems"], record["missing"]) == ({}, [])
    assert "LGPL" in record["licence"]


def test_one_bad_mask_does_not_keep_the_others(tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    write_mask(masks / "a.nii.gz", (45, 133))
    write_mask(masks / "b.mha", (45.0, 44.5), np.float32)
    write_mask(masks / "c.mha", (45.0, 44.0), np.float32)
    write_mask(masks / "d.nii.gz", (45, 46))
    write_mask(masks / "e.nii.gz", (11, 12))
    write_mask(masks / "f.nii.gz", ())
    write_mask(masks / "g.mha", (45.0, np.nan), np.float32)
    write_mask(masks / "h.nii", (45, 50))
    (masks / "h.nii").write_bytes((masks / "h.nii").read_bytes()[:-60])
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 4, 5, 2)), isVector=True), str(masks / "i.nrrd"))
    (masks / "j.mha").write_text("no image")
    (masks / "notes.txt").write_text("not a mask")
    result = run(tmp_path, FROM_TSS)
    assert sorted(result.files) == ["c.mha", "f.nii.gz"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["c.mha", "f.nii.gz", "relabel.json"]
    assert counts(tmp_path / "out" / "c.mha") == {0: 116, 2: 2, 3: 2}
    assert result.files["f.nii.gz"]["warnings"] == ["holds background only"]
    expected = {
        "a.nii.gz": "unknown label code 133 (2 voxels); known codes are 0-2, 11-17",
        "b.mha": "not whole numbers, such as 44.5",
        "d.nii.gz": "code 46 is L6 (2 voxels). Choose --transitional keep",
        "e.nii.gz": "none of its codes becomes a structure: 11, 12",
        "g.mha": "not whole numbers, such as nan",
        "h.nii": "cut short",
        "i.nrrd": "2 values a voxel",
        "j.mha": "cannot be read as an image",
    }
    assert sorted(result.problems) == sorted(expected)
    for name, text in expected.items():
        assert result.problems[name].startswith(f"{name}: ")
        assert text in result.problems[name]
        assert "\n" not in result.problems[name]


@pytest.mark.parametrize("orientation", ["PIR", "RAS", "LSP", "SAL"])
def test_instances_are_counted_towards_the_head_in_any_orientation(tmp_path: Path, orientation: str) -> None:
    spine = np.zeros((3, 14, 5), np.uint8)  # rows run to the feet
    for row, code in enumerate((3, 103, 9, 109, 5, 105, 26)):
        spine[:, 2 * row : 2 * row + 2, 1:4] = code
    image = sitk.GetImageFromArray(spine)
    image.SetSpacing((0.6, 0.7, 3.3))
    image.SetDirection((0, 0, -1, 1, 0, 0, 0, -1, 0))
    (tmp_path / "masks").mkdir()
    sitk.WriteImage(sitk.DICOMOrient(image, orientation), str(tmp_path / "masks" / "a.mha"))
    result = run(tmp_path, RelabelOptions(source="spineps-instances"))
    assert result.problems == {}
    written = sitk.DICOMOrient(sitk.ReadImage(str(tmp_path / "out" / "a.mha")), "PIR")
    rows = sitk.GetArrayFromImage(written)[1, ::2, 2].tolist()
    assert rows == [4, 13, 3, 12, 2, 11, 1]


def test_instances_that_read_like_levels_are_refused(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "a.nii.gz", (7, 8, 26))
    result = run(tmp_path, RelabelOptions(source="spineps"))
    assert "sacrum lies next to T1" in result.problems["a.nii.gz"]
    assert "--from spineps-instances" in result.problems["a.nii.gz"]


def test_a_canal_that_another_tool_lacks_is_dropped_by_name(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "a.nii.gz", (1, 100))
    result = run(tmp_path, RelabelOptions(source="spider", target="mrspineseg"))
    assert result.files["a.nii.gz"]["warnings"] == [
        "the target does not have canal (code 100, 2 voxels): background now"
    ]
    result = run(tmp_path, RelabelOptions(source="spider"), overwrite=True)
    assert result.files["a.nii.gz"]["warnings"] == []


def test_an_earlier_record_does_not_outlive_a_run_that_writes_nothing(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "a.nii.gz", (45,))
    run(tmp_path, FROM_TSS)
    write_mask(tmp_path / "masks" / "a.nii.gz", (133,))
    problems = run(tmp_path, FROM_TSS, overwrite=True).problems
    assert problems["a.nii.gz"].endswith(f"An older {tmp_path / 'out' / 'a.nii.gz'} is left as it is")
    assert not (tmp_path / "out" / "relabel.json").exists()


def test_four_lumbar_vertebrae_are_not_passed_over(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "tss.nii.gz", (50, 44, 43, 94))
    write_mask(tmp_path / "masks" / "disc.nii.gz", (50, 44, 43, 94, 100))
    result = run(tmp_path, FROM_TSS)
    assert len(result.files["tss.nii.gz"]["warnings"]) == 1
    assert "L5 missing between L4 and S" in result.files["tss.nii.gz"]["warnings"][0]
    assert "code 100 is L4/S (2 voxels)" in result.problems["disc.nii.gz"]
    kept = RelabelOptions(source="totalspineseg", transitional="keep")
    result = run(tmp_path, kept, overwrite=True)
    assert result.problems == {}
    assert counts(tmp_path / "out" / "disc.nii.gz")[result.labels["L4/S"]] == 2


def test_two_codes_that_meet_by_choice_are_said(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "a.nii.gz", (45, 46, 50))
    result = run(tmp_path, RelabelOptions(source="totalspineseg", codes={46: "L5"}))
    assert result.files["a.nii.gz"]["warnings"] == ["codes 46 and 45 both become L5, by your choice"]
    assert counts(tmp_path / "out" / "a.nii.gz") == {0: 114, 1: 2, 2: 4}


def test_back_to_a_tool_drops_what_it_lacks_and_says_so(tmp_path: Path) -> None:
    mask = write_mask(tmp_path / "masks" / "a.nii.gz", (1, 2, 11, 10))
    result = run(tmp_path, RelabelOptions(source="textguided", target="dgmsnet"))
    written = read(tmp_path / "out" / "a.nii.gz")
    assert np.array_equal(written == 5, mask == 2)
    assert np.array_equal(written == 10, mask == 11)
    assert np.count_nonzero(written) == 4
    warning = result.files["a.nii.gz"]["warnings"][-1]
    assert "S (code 1, 2 voxels), T9 (code 10, 2 voxels): background now" in warning
    strict = RelabelOptions(source="textguided", target="dgmsnet", strict=True)
    result = run(tmp_path, strict, overwrite=True)
    assert "--strict asks for all structures" in result.problems["a.nii.gz"]


@pytest.mark.parametrize("tool", ["spineps", "totalspineseg", "mrspineseg"])
def test_all_structures_survive_the_way_there_and_back(tmp_path: Path, tool: str) -> None:
    mask = write_mask(tmp_path / "masks" / "a.nii.gz", tuple(range(1, 20)))
    run(tmp_path, RelabelOptions(source="textguided", target=tool))
    relabel(tmp_path / "out", tmp_path / "back", RelabelOptions(source=tool))
    assert np.array_equal(read(tmp_path / "back" / "a.nii.gz"), mask)


@pytest.mark.parametrize("place", ["masks/dataset.json", "dataset.json", "masks/relabel.json"])
def test_own_codes_are_named_by_the_file_beside_the_masks(tmp_path: Path, place: str) -> None:
    write_mask(tmp_path / "masks" / "a.nii.gz", (1, 2, 3))
    labels = {"background": 0, "L5": 1, "lesion": 2, "L6": 3}
    (tmp_path / place).write_text(json.dumps({"labels": labels}))
    result = run(tmp_path, RelabelOptions(source="textguided", target="spineps"))
    assert counts(tmp_path / "out" / "a.nii.gz") == {0: 116, 24: 2, 25: 2}
    assert "lesion (code 2, 2 voxels)" in result.files["a.nii.gz"]["warnings"][-1]


def test_own_codes_beyond_the_19_need_the_names(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "a.nii.gz", (2, 20))
    result = run(tmp_path, RelabelOptions(source="textguided", target="spider"))
    assert "unknown label code 20" in result.problems["a.nii.gz"]
    assert "dataset.json" in result.problems["a.nii.gz"]


def test_a_map_of_the_users_own_works_both_ways(tmp_path: Path) -> None:
    mask = write_mask(tmp_path / "masks" / "a.nii.gz", (300, 7))
    (tmp_path / "map.json").write_text(json.dumps({"300": "L5", "7": "S"}))
    run(tmp_path, RelabelOptions(source=str(tmp_path / "map.json")))
    assert counts(tmp_path / "out" / "a.nii.gz") == {0: 116, 1: 2, 2: 2}
    back = RelabelOptions(source="textguided", target=str(tmp_path / "map.json"))
    relabel(tmp_path / "out", tmp_path / "back", back)
    assert np.array_equal(read(tmp_path / "back" / "a.nii.gz"), mask)


def test_links_that_leave_the_folder_are_not_followed(tmp_path: Path) -> None:
    write_mask(tmp_path / "elsewhere" / "secret.nii.gz", (45,))
    write_mask(tmp_path / "masks" / "a.nii.gz", (45,))
    (tmp_path / "masks" / "b.nii.gz").symlink_to(tmp_path / "elsewhere" / "secret.nii.gz")
    (tmp_path / "masks" / "c.nii.gz").symlink_to("c.nii.gz")
    (tmp_path / "masks" / "d.nii.gz").symlink_to("a.nii.gz")
    result = run(tmp_path, FROM_TSS)
    assert sorted(result.files) == ["a.nii.gz", "d.nii.gz"]
    assert "leads out of" in result.problems["b.nii.gz"]
    assert "c.nii.gz" in result.problems


def test_a_link_in_the_way_is_replaced_and_its_target_is_not_touched(tmp_path: Path) -> None:
    write_mask(tmp_path / "masks" / "a.nii.gz", (45,))
    (tmp_path / "precious.txt").write_text("keep me")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.nii.gz").symlink_to(tmp_path / "precious.txt")
    with pytest.raises(UserError, match="--overwrite"):
        run(tmp_path, FROM_TSS)
    run(tmp_path, FROM_TSS, overwrite=True)
    assert (tmp_path / "precious.txt").read_text() == "keep me"
    assert counts(tmp_path / "out" / "a.nii.gz") == {0: 118, 2: 2}


@pytest.mark.parametrize("target", ["masks", "masks/out", "masks/../masks", "link"])
def test_the_folder_that_is_read_is_never_written_to(tmp_path: Path, target: str) -> None:
    write_mask(tmp_path / "masks" / "a.nii.gz", (45,))
    (tmp_path / "link").symlink_to(tmp_path / "masks")
    with pytest.raises(UserError, match="Choose a folder outside it"):
        relabel(tmp_path / "masks", tmp_path / target, FROM_TSS, overwrite=True)
    assert counts(tmp_path / "masks" / "a.nii.gz") == {0: 118, 45: 2}


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("nowhere", "out", "found nothing there"),
        ("empty", "out", "directly in this folder, found none"),
        ("masks", "map.json", "is a file"),
        ("masks/a.nii.gz", "empty", "ends in one of"),
        ("masks/a.nii.gz", "masks/a.nii.gz", "is the mask that is read"),
        ("map.json", "out.nii.gz", "ends in one of"),
    ],
)
def test_places_that_do_not_fit_are_refused(tmp_path: Path, source: str, target: str, message: str) -> None:
    write_mask(tmp_path / "masks" / "a.nii.gz", (45,))
    (tmp_path / "empty").mkdir()
    (tmp_path / "map.json").write_text("{}")
    with pytest.raises(UserError, match=message):
        relabel(tmp_path / source, tmp_path / target, FROM_TSS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (RelabelOptions(source="spinps"), "not a known label map.*spineps-instances.*JSON"),
        (RelabelOptions(source="spider", target="spineps-instances"), "not a known label map"),
        (RelabelOptions(source="spider", transitional="shift"), "Expected one of error, keep"),
        (RelabelOptions(source="spider", lowest="L5"), "needs --from spineps-instances"),
        (RelabelOptions(source="spineps-instances", lowest="C3"), "Expected one of L6, L5"),
        (RelabelOptions(source="spider", codes={1: "L5-S"}), r"--map 1=L5-S.*Did you mean L5/S\?"),
        (RelabelOptions(source="spider", codes={100: "canal"}), "Add --canal"),
        (RelabelOptions(source="spider", target="dgmsnet", codes={1: "S"}), "dgmsnet has no S"),
        (RelabelOptions(source="textguided", target="spider", transitional="keep"), "choose background"),
        (RelabelOptions(source="none.json"), "Expected a JSON file"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path: Path, options: RelabelOptions, message: str) -> None:
    write_mask(tmp_path / "masks" / "a.nii.gz", (1,))
    with pytest.raises(UserError, match=message):
        run(tmp_path, options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "labels", [{"L5": [1, 2]}, {"L5": 1, "L4": 1}, {"background": 1}, {"L5": True}, {"L5": -1}, None]
)
def test_a_dataset_json_without_plain_labels_is_refused(tmp_path: Path, labels: object) -> None:
    write_mask(tmp_path / "masks" / "a.nii.gz", (1,))
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    with pytest.raises(UserError, match=r"dataset\.json: expected"):
        run(tmp_path, RelabelOptions(source="textguided", target="spider"))
