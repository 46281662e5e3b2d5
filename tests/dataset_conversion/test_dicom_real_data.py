"""One real study of RSNA 2024: two sagittal series, an axial one of several orientations, no SOPClassUID."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.dicom.stack import Stack
from nnunet_textguided.dataset_conversion.dicom.study import (
    choose_sagittal,
    find_dicom_files,
    read_study,
    stacks_of_study,
)
from nnunet_textguided.dataset_conversion.dicom.volume import read_stack


@pytest.fixture(scope="module")
def stacks(real_data: Path) -> list[Stack]:
    folder = real_data / "rsna2024_mini" / "train_images" / "100206310"
    files, links = find_dicom_files(folder, real_data)
    series, problems = read_study(files)
    found, notes = stacks_of_study(series)
    assert (len(files), links, problems, notes) == (96, [], {}, [])
    assert sorted(map(len, series.values())) == [18, 18, 60]
    return found


@pytest.mark.parametrize(
    ("weighting", "size", "in_plane"), [("T1", (512, 512, 18), 0.68359375), ("T2", (448, 462, 18), 0.53571426868439)]
)
def test_both_sagittal_series_have_their_own_grid_and_slices_4_48_mm_apart(stacks, weighting, size, in_plane):
    stack, notes = choose_sagittal(stacks, weighting)
    assert (notes, stack.size) == ([], size)
    assert stack.spacing == pytest.approx((in_plane, in_plane, 4.48), abs=1e-6)
    assert {header.thickness for header in stack.slices} == {4.0}  # which is not the distance
    assert [header.number for header in stack.slices] == list(range(18, 0, -1))  # numbered along +x, the normal is -x


def test_the_axial_series_has_six_orientations_and_one_of_them_two_blocks(stacks):
    axial = [stack for stack in stacks if stack.plane == "axial"]
    orientations = {stack.slices[0].row + stack.slices[0].column for stack in axial}
    numbers = [sorted(header.number for header in stack.slices) for stack in axial]
    assert len(orientations) == 6
    bounds = [(1, 7), (8, 15), (16, 23), (24, 32), (33, 41), (42, 50), (51, 60)]
    assert sorted(numbers) == [list(range(first, last + 1)) for first, last in bounds]
    assert [stack.spacing[2] for stack in axial] == pytest.approx([3.5] * 7, abs=1e-5)
    second, third = axial[1], axial[2]
    np.testing.assert_array_equal(second.orientation, third.orientation)
    apart = second.orientation.T @ np.subtract(third.slices[-1].position, second.slices[0].position)
    assert abs(apart[2]) == pytest.approx(5.94, abs=0.01)  # not 3.5, and sideways by more than a pixel of 0.5 mm
    assert np.hypot(*apart[:2]) > 0.5


def test_both_sagittal_series_cover_the_same_part_of_the_body(stacks):
    t1, t2 = (choose_sagittal(stacks, weighting)[0] for weighting in ("T1", "T2"))
    np.testing.assert_allclose(t1.orientation, t2.orientation, atol=1e-3)
    assert abs(t1.heights - t2.heights).max() < 1.0


def test_pixels_are_those_of_the_files_and_simpleitk_alone_has_no_spacing(stacks):
    stack, _ = choose_sagittal(stacks, "T2")
    image = read_stack(stack)
    naive = sitk.ReadImage([str(header.path) for header in stack.slices])
    assert naive.GetSpacing()[:2] == (1.0, 1.0)  # the trap: SOPClassUID is missing
    assert image.GetSpacing()[2] == pytest.approx(4.48, abs=1e-6)
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(image), sitk.GetArrayViewFromImage(naive))
    middle = pydicom.dcmread(stack.slices[9].path)
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(image)[9], middle.pixel_array)


def test_the_grid_equals_simpleitks_once_the_files_say_what_they_are(stacks, tmp_path):
    stack, _ = choose_sagittal(stacks, "T1")
    paths = []
    for header in stack.slices:
        dataset = pydicom.dcmread(header.path)
        dataset.SOPClassUID = pydicom.uid.MRImageStorage
        paths.append(tmp_path / header.path.name)
        dataset.save_as(paths[-1])
    expected = sitk.ReadImage([str(path) for path in paths])
    image = read_stack(stack)
    assert image.GetSpacing() == pytest.approx(expected.GetSpacing(), abs=1e-5)
    assert image.GetOrigin() == pytest.approx(expected.GetOrigin(), abs=1e-9)
    np.testing.assert_allclose(image.GetDirection(), expected.GetDirection(), atol=1e-5)
