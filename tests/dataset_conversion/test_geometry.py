from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from spider_trees import volume

from nnunet_textguided.dataset_conversion.base.geometry import (
    Geometry,
    check_same_grid,
    read_mask,
    read_volume,
    resample_onto,
    to_canonical,
    write_volume,
)
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.errors import UserError


def test_canonical_axes_run_to_the_right_the_feet_and_the_back() -> None:
    image = to_canonical(volume(np.zeros((4, 6, 5), dtype=np.int16)))
    slices, rows, columns = (np.array(image.GetDirection()).reshape(3, 3)[:, axis] for axis in (2, 1, 0))
    assert slices[0] < -0.9  # LPS: right is -x
    assert rows[2] < -0.9  # feet are -z
    assert columns[1] > 0.9  # the back is +y


def test_a_voxel_keeps_its_value_and_its_place_in_the_patient() -> None:
    array = np.zeros((4, 6, 5), dtype=np.int16)
    array[3, 1, 4] = 77
    original = volume(array)
    assert Geometry.of(original).orientation != "PIR"
    turned = to_canonical(original)
    (found,) = np.argwhere(sitk.GetArrayFromImage(turned) == 77)
    place = turned.TransformIndexToPhysicalPoint([int(index) for index in found[::-1]])
    assert place == pytest.approx(original.TransformIndexToPhysicalPoint((4, 1, 3)), abs=1e-6)
    assert sorted(sitk.GetArrayFromImage(turned).ravel()) == sorted(array.ravel())


def test_the_second_image_is_sampled_at_the_same_place_in_the_patient() -> None:
    def ramp(image: sitk.Image) -> sitk.Image:
        """Write each voxel's world x + 2y - z, which linear interpolation reproduces exactly."""
        for index in np.ndindex(*image.GetSize()):
            x, y, z = image.TransformIndexToPhysicalPoint([int(i) for i in index])
            image[index] = x + 2 * y - z
        return image

    reference = ramp(volume(np.zeros((4, 6, 5), dtype=np.float32)))
    moving = ramp(volume(np.zeros((9, 12, 12), dtype=np.float32), origin=(2.5, -18.0, 12.0)))
    resampled, covered = resample_onto(moving, reference)
    assert resampled.GetSize() == reference.GetSize()
    assert 0.4 < covered < 1.0
    compared = 0
    values, truth = sitk.GetArrayFromImage(resampled), sitk.GetArrayFromImage(reference)
    size = moving.GetSize()
    for index in np.ndindex(*reference.GetSize()):
        place = moving.TransformPhysicalPointToContinuousIndex(reference.TransformIndexToPhysicalPoint(index))
        if all(0 <= position <= last - 1 for position, last in zip(place, size, strict=True)):
            assert values[index[::-1]] == pytest.approx(truth[index[::-1]], abs=1e-3)
            compared += 1
    assert compared > 40


def test_an_image_on_the_same_grid_is_not_resampled() -> None:
    array = np.arange(120, dtype=np.uint8).reshape(4, 6, 5)
    same, covered = resample_onto(volume(array), volume(np.zeros_like(array)))
    assert covered == 1.0
    assert same.GetPixelID() == sitk.sitkUInt8
    assert np.array_equal(sitk.GetArrayFromImage(same), array)


@pytest.mark.parametrize("change", ["size", "spacing", "origin", "direction"])
def test_another_grid_is_refused_with_both_geometries(change: str) -> None:
    image = volume(np.zeros((4, 6, 5), dtype=np.int16))
    mask = volume(np.zeros((4, 6, 7 if change == "size" else 5), dtype=np.int16))
    if change == "spacing":
        mask.SetSpacing((0.8, 0.9, 4.4))
    if change == "origin":
        mask.SetOrigin((3.0, -20.0, 11.5))
    if change == "direction":
        mask.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, 1))
    with pytest.raises(CaseError, match=r"a\.mha is .*size \(5, 6, 4\).*b\.mha is .*size"):
        check_same_grid(image, mask, Path("a.mha"), Path("b.mha"))


def test_rounding_of_the_header_is_no_difference() -> None:
    image = volume(np.zeros((4, 6, 5), dtype=np.int16))
    mask = volume(np.zeros((4, 6, 5), dtype=np.int16), origin=(3.00001, -20.0, 11.0))
    check_same_grid(image, mask, Path("a.mha"), Path("b.mha"))


def test_unreadable_or_unsuitable_images_are_one_clear_problem_each(tmp_path: Path) -> None:
    cases = {
        "flat.mha": (sitk.Image(4, 5, sitk.sitkInt16), "got 2D"),
        "time.mha": (sitk.Image([4, 5, 6, 2], sitk.sitkInt16), "got 4D"),
        "colour.mha": (sitk.Image([4, 5, 6], sitk.sitkVectorUInt8, 3), r"3 value\(s\) a voxel"),
        "hole.mha": (volume(np.full((2, 2, 2), np.nan, dtype=np.float32)), "8 voxels are not finite"),
    }
    for name, (image, message) in cases.items():
        sitk.WriteImage(image, str(tmp_path / name))
        with pytest.raises(CaseError, match=f"{name}.*{message}"):
            read_volume(tmp_path / name)
    whole = (tmp_path / "flat.mha").read_bytes()
    (tmp_path / "cut.mha").write_bytes(whole[:-10])
    with pytest.raises(CaseError, match=r"cut\.mha: is damaged"):
        read_volume(tmp_path / "cut.mha")
    with pytest.raises(CaseError, match="found nothing"):
        read_volume(tmp_path / "absent.mha")


def test_a_mask_of_fractions_is_refused_and_one_of_whole_floats_is_read(tmp_path: Path) -> None:
    sitk.WriteImage(volume(np.full((2, 2, 2), 201.0, dtype=np.float32)), str(tmp_path / "whole.mha"))
    sitk.WriteImage(volume(np.full((2, 2, 2), 0.5, dtype=np.float32)), str(tmp_path / "half.mha"))
    assert set(sitk.GetArrayFromImage(read_mask(tmp_path / "whole.mha")).ravel()) == {201}
    with pytest.raises(CaseError, match="not whole numbers"):
        read_mask(tmp_path / "half.mha")


def test_a_full_disk_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="needs limits on file size")
    noise = np.random.default_rng(0).integers(0, 2000, (20, 60, 60)).astype(np.int16)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UserError, match=r"Could not write .*full\.nii\.gz"):
            write_volume(volume(noise), tmp_path / "full.nii.gz")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
