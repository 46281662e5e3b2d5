"""SPINEPS's masks as they come: panoptica's examples, read from the real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.relabelling.relabel import RelabelOptions, relabel

INSTANCES = RelabelOptions(source="spineps-instances")
# Measured on the file: vertebrae 2 to 8 from the head, sacrum 26, discs 102 to 108, each below its vertebra.
BECOMES = {
    **{26: 1, 8: 2, 7: 3, 6: 4, 5: 5, 4: 6, 3: 7, 2: 8},
    **{108: 11, 107: 12, 106: 13, 105: 14, 104: 15, 103: 16, 102: 17},
}


@pytest.fixture(scope="module")
def masks(real_data: Path) -> Path:
    return real_data / "spineps_masks"


def read(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_instances_are_counted_from_the_sacrum_and_keep_their_voxels(masks: Path, tmp_path: Path) -> None:
    source, out = masks / "matched_instance", tmp_path / "out"
    result = relabel(source, out, INSTANCES)
    assert sorted(result.files) == ["pred.nii.gz", "ref.nii.gz"]
    assert all(record["warnings"] == [] for record in result.files.values())
    for name in result.files:
        before, after = read(source / name), read(out / name)
        for old, new in BECOMES.items():
            assert np.array_equal(before == old, after == new)
        assert set(np.unique(after)) == {0, *BECOMES.values()}
    image, written = sitk.ReadImage(str(source / "ref.nii.gz")), sitk.ReadImage(str(out / "ref.nii.gz"))
    assert written.GetSize() == image.GetSize() == (512, 512, 17)
    assert np.allclose(written.GetDirection(), image.GetDirection(), rtol=0, atol=1e-6)
    assert np.allclose(written.GetOrigin(), image.GetOrigin(), rtol=0, atol=1e-4)
    rows = [np.argwhere(after == code)[:, 1].mean() for code in (1, 2, 3, 4, 5, 6, 7, 8)]
    assert rows == sorted(rows, reverse=True)  # from the sacrum up, and rows run to the feet


def test_orientation_does_not_change_the_count(masks: Path, tmp_path: Path) -> None:
    image = sitk.ReadImage(str(masks / "matched_instance" / "ref.nii.gz"))[::8, ::8, ::4]
    for code in ("PIR", "RAS", "LSP"):
        sitk.WriteImage(sitk.DICOMOrient(image, code), str(tmp_path / f"{code}.mha"))
        relabel(tmp_path / f"{code}.mha", tmp_path / f"{code}_out.mha", INSTANCES)
        written = sitk.DICOMOrient(sitk.ReadImage(str(tmp_path / f"{code}_out.mha")), "PIR")
        assert np.array_equal(sitk.GetArrayFromImage(written) == 2, sitk.GetArrayFromImage(image) == 8)


def test_a_sacrum_of_another_number_has_to_be_named(masks: Path, tmp_path: Path) -> None:
    source, out = masks / "unmatched_instance", tmp_path / "out"
    result = relabel(source, out, INSTANCES)
    assert list(result.files) == ["ref.nii.gz"]
    assert "no sacrum" in result.problems["pred.nii.gz"]
    named = RelabelOptions(source="spineps-instances", codes={27: "S"})
    result = relabel(source, out, named, overwrite=True)
    assert result.problems == {}
    before, after = read(source / "pred.nii.gz"), read(out / "pred.nii.gz")
    assert np.array_equal(after == 1, before == 27)
    assert np.array_equal(after == 2, before == 9)
    assert np.array_equal(after == 17, before == 103)


def test_instances_are_not_taken_for_levels(masks: Path, tmp_path: Path) -> None:
    result = relabel(masks / "matched_instance", tmp_path / "out", RelabelOptions(source="spineps"))
    assert result.files == {}
    assert "--from spineps-instances" in result.problems["ref.nii.gz"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source", ["spineps", "spineps-instances"])
def test_subregion_masks_are_refused_by_name(masks: Path, tmp_path: Path, source: str) -> None:
    result = relabel(masks / "semantic", tmp_path / "out", RelabelOptions(source=source))
    assert result.files == {}
    assert all("seg-spine" in problem and "seg-vert" in problem for problem in result.problems.values())
