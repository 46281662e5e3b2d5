"""Volumes out of stacks: values in their places, and the grid of SimpleITK's own reader where that is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import PLANES, cut, write_series
from pydicom.uid import EnhancedMRImageStorage

from nnunet_textguided.dataset_conversion.base.geometry import read_volume
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.dicom.header import read_slice_header
from nnunet_textguided.dataset_conversion.dicom.stack import Stack, stacks_of
from nnunet_textguided.dataset_conversion.dicom.volume import read_stack, voxel_to_world

VOLUME = np.random.default_rng(0).integers(0, 4000, (5, 7, 6)).astype(np.uint16)
TILTED = {"row": (0.034074, 0.999405, 0.005235), "column": (-0.022537, 0.006005, -0.999728)}
SPACING, ORIGIN = (0.6, 0.8, 4.48), (12.5, -60.25, 33.0)


def stack_of(folder: Path, volume: np.ndarray = VOLUME, **options: object) -> Stack:
    paths = write_series(folder, volume, **{"spacing": SPACING, "origin": ORIGIN, **options})
    (stack,), _ = stacks_of([read_slice_header(path) for path in paths])
    return stack


def series_read_by_sitk(stack: Stack) -> sitk.Image:
    return sitk.ReadImage([str(header.path) for header in stack.slices], imageIO="GDCMImageIO")


@pytest.mark.parametrize("axes", [*({"plane": plane} for plane in PLANES), TILTED], ids=[*PLANES, "tilted"])
@pytest.mark.parametrize("direction", [1, -1])
def test_values_and_grid_equal_those_of_simpleitk(tmp_path, axes, direction):
    stack = stack_of(tmp_path, spacing=(*SPACING[:2], direction * SPACING[2]), **axes)
    image, expected = read_stack(stack), series_read_by_sitk(stack)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), VOLUME[::direction])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
    assert image.GetPixelID() == expected.GetPixelID()
    assert image.GetSpacing() == pytest.approx(SPACING, abs=1e-5)
    assert image.GetSpacing() == pytest.approx(expected.GetSpacing(), abs=1e-5)
    assert image.GetOrigin() == expected.GetOrigin()
    np.testing.assert_allclose(image.GetDirection(), expected.GetDirection(), atol=1e-5)


def test_the_grid_is_right_where_simpleitk_has_none(tmp_path):
    as_rsna = {"SOPClassUID": None, "Modality": None, "MediaStorageSOPClassUID": EnhancedMRImageStorage}
    stack = stack_of(tmp_path, SliceThickness=4.0, SpacingBetweenSlices=1.0, **as_rsna)
    assert series_read_by_sitk(stack).GetSpacing()[:2] == (1.0, 1.0)  # the trap
    image = read_stack(stack)
    assert image.GetSpacing() == pytest.approx(SPACING)
    assert image.GetOrigin() == ORIGIN
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), VOLUME)


@pytest.mark.parametrize("axes", [{"plane": "coronal"}, TILTED], ids=["coronal", "tilted"])
def test_a_pixel_of_a_slice_lies_where_its_voxel_does(tmp_path, axes):
    stack = stack_of(tmp_path, **axes)
    image = read_stack(stack)
    for index, x, y in ((0, 0, 0), (4, 5, 0), (2, 1, 6)):
        expected = image.TransformIndexToPhysicalPoint((x, y, index))
        assert voxel_to_world(stack.slices[index], x, y) == pytest.approx(expected, abs=1e-4)


def test_a_pixel_lies_by_the_standards_formula(tmp_path):
    header = stack_of(tmp_path, plane="axial").slices[0]
    assert voxel_to_world(header, 2, 10.5) == pytest.approx((12.5 + 2 * 0.6, -60.25 + 10.5 * 0.8, 33.0))


def test_other_converters_read_the_volume_back_as_it_was(tmp_path):
    image = read_stack(stack_of(tmp_path / "series", **TILTED))
    sitk.WriteImage(image, str(tmp_path / "volume.nii.gz"))
    back = read_volume(tmp_path / "volume.nii.gz")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), VOLUME)
    np.testing.assert_allclose(back.GetDirection(), image.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(back.GetOrigin(), image.GetOrigin(), atol=1e-4)


def test_slices_rescaled_differently_make_one_float_volume(tmp_path):
    stack = stack_of(tmp_path)
    paths = [header.path for header in stack.slices]
    other = write_series(
        tmp_path / "other", VOLUME, spacing=SPACING, origin=ORIGIN, RescaleSlope=0.5, RescaleIntercept=1
    )
    other[2].replace(paths[2])
    image = read_stack(stacks_of([read_slice_header(path) for path in paths])[0][0])
    expected = VOLUME.astype(np.float32)
    expected[2] = expected[2] * 0.5 + 1
    assert image.GetPixelID() == sitk.sitkFloat32
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), expected)


def test_one_slice_is_a_volume(tmp_path):
    stack = stack_of(tmp_path, VOLUME[:1], SliceThickness=3.0)
    image = read_stack(stack)
    assert (image.GetSize(), image.GetSpacing()) == ((6, 7, 1), (0.6, 0.8, 3.0))


def test_a_cut_off_slice_is_an_error_that_names_its_file(tmp_path):
    paths = write_series(tmp_path, VOLUME)
    cut(paths[3], 5)
    (stack,), _ = stacks_of([read_slice_header(path) for path in paths])
    with pytest.raises(CaseError, match="is cut off") as caught:
        read_stack(stack)
    assert str(caught.value).startswith(f"{paths[3]}: ")


def test_a_file_that_vanished_is_an_error_that_names_it(tmp_path):
    stack = stack_of(tmp_path)
    stack.slices[1].path.unlink()
    with pytest.raises(CaseError) as caught:
        read_stack(stack)
    assert str(caught.value).startswith(f"{stack.slices[1].path}: ")
