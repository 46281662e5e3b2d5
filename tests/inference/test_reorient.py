from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.inference.reorient import (
    OrientationError,
    axis_steps,
    direction_code,
    orientation_code,
    reorient_array,
    reorient_spacing,
    restore_geometry,
    to_orientation,
)

ALL_CODES = ["".join(letters) for axes in permutations(("RL", "AP", "IS")) for letters in product(*axes)]
SPACING = (0.9, 1.7, 4.4)


def numbered_volume(direction: np.ndarray) -> sitk.Image:
    """A volume in which every voxel has its own value."""
    image = sitk.GetImageFromArray(np.arange(3 * 4 * 5, dtype=np.int32).reshape(3, 4, 5))
    image.SetSpacing(SPACING)
    image.SetOrigin((12.5, -7.25, 101.0))
    image.SetDirection(direction.ravel().tolist())
    return image


def cosines(code: str) -> np.ndarray:
    """Direction cosines of a code, written down by hand: LPS world, so L, P and S are the positive sides."""
    sides = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
    matrix = np.zeros((3, 3))
    for axis, letter in enumerate(code):
        row, sign = sides[letter]
        matrix[row, axis] = sign
    return matrix


def rotation(degrees: float) -> np.ndarray:
    """Rotation about an axis that is none of the patient's."""
    axis, angle = np.array([1.0, 2.0, 3.0]) / np.sqrt(14), np.deg2rad(degrees)
    cross = np.cross(np.eye(3), axis)
    return np.eye(3) * np.cos(angle) + np.sin(angle) * cross + (1 - np.cos(angle)) * np.outer(axis, axis)


def assert_same_image(one: sitk.Image, other: sitk.Image) -> None:
    assert one.GetSize() == other.GetSize()
    assert one.GetSpacing() == other.GetSpacing()
    assert one.GetOrigin() == other.GetOrigin()
    assert one.GetDirection() == other.GetDirection()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(other))


def test_there_are_48_orientations_and_each_is_recognised() -> None:
    assert len(set(ALL_CODES)) == 48
    for code in ALL_CODES:
        assert orientation_code(numbered_volume(cosines(code))) == code


@pytest.mark.parametrize("code", ALL_CODES)
def test_round_trip_through_pir_is_exact(code: str) -> None:
    image = numbered_volume(cosines(code))
    turned = to_orientation(image, "PIR")
    assert orientation_code(turned) == "PIR"
    assert_same_image(restore_geometry(turned, image), image)


@pytest.mark.parametrize("code", ALL_CODES)
@pytest.mark.parametrize("degrees", [17.0, -31.0])
def test_round_trip_of_oblique_images_is_exact(code: str, degrees: float) -> None:
    image = numbered_volume(rotation(degrees) @ cosines(code))
    assert_same_image(restore_geometry(to_orientation(image, "PIR"), image), image)


def test_round_trip_is_exact_where_two_codes_are_equally_near() -> None:
    half = np.sqrt(0.5)
    for code in ALL_CODES:
        tilted = np.array([[half, -half, 0], [half, half, 0], [0, 0, 1]]) @ cosines(code)
        image = numbered_volume(tilted)
        assert_same_image(restore_geometry(to_orientation(image, "PIR"), image), image)


@pytest.mark.parametrize("code", ALL_CODES)
def test_turning_agrees_with_simpleitk_and_keeps_every_voxel_in_its_place(code: str) -> None:
    image = numbered_volume(rotation(20.0) @ cosines(code))
    turned, expected = to_orientation(image, "PIR"), sitk.DICOMOrient(image, "PIR")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(turned), sitk.GetArrayFromImage(expected))
    np.testing.assert_allclose(turned.GetOrigin(), expected.GetOrigin(), atol=1e-9)
    for index in [(0, 0, 0), (4, 3, 2), (1, 2, 0)]:
        new_index = turned.TransformPhysicalPointToIndex(image.TransformIndexToPhysicalPoint(index))
        assert turned[new_index] == image[index]


@pytest.mark.parametrize("code", ALL_CODES)
def test_arrays_are_turned_as_images_are(code: str) -> None:
    image = numbered_volume(cosines(code))
    array, turned = sitk.GetArrayFromImage(image), to_orientation(image, "PIR")
    result = reorient_array(array, code, "PIR")
    np.testing.assert_array_equal(result, sitk.GetArrayFromImage(turned))
    np.testing.assert_array_equal(reorient_array(result, "PIR", code), array)
    assert reorient_spacing(SPACING[::-1], code, "PIR") == list(turned.GetSpacing()[::-1])


def test_channels_in_front_stay_in_front() -> None:
    array = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    turned = reorient_array(array, "LPS", "PIR")
    assert turned.shape == (2, 5, 3, 4)
    np.testing.assert_array_equal(turned[1], reorient_array(array[1], "LPS", "PIR"))


def test_labels_of_a_pir_array_are_right_to_left_head_to_foot_front_to_back() -> None:
    # An LPS array (z, y, x) grows towards S, P and L; the voxel at its end is leftmost, rearmost, topmost.
    array = np.zeros((3, 4, 5), int)
    array[-1, -1, -1] = 1
    assert tuple(np.argwhere(reorient_array(array, "LPS", "PIR"))[0]) == (0, 0, 3)


@pytest.mark.parametrize("code", ["PI", "PIRS", "PPR", "XYZ", "pir", ""])
def test_wrong_codes_are_named(code: str) -> None:
    with pytest.raises(OrientationError, match="three letters"):
        axis_steps("LPS", code)


def test_a_prediction_of_another_image_is_refused() -> None:
    image = numbered_volume(cosines("LPS"))
    with pytest.raises(OrientationError, match="not the grid"):
        restore_geometry(to_orientation(image, "PIR")[:-1], image)
    with pytest.raises(OrientationError, match="not the grid"):
        restore_geometry(numbered_volume(rotation(30.0)), image)


def test_flat_images_and_degenerate_directions_are_refused() -> None:
    with pytest.raises(OrientationError, match="3D"):
        orientation_code(sitk.Image(4, 4, sitk.sitkUInt8))
    with pytest.raises(OrientationError, match="three independent axes"):
        direction_code(np.zeros((3, 3)))
