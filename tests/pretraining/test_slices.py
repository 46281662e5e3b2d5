from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.slice_dataset import Draw, SeededSampler, SliceDataset
from nnunet_textguided.pretraining.slice_sources import find_scans
from nnunet_textguided.pretraining.slices import SliceSettings, cut, prepare_slice, read_slice, resize, scale_intensity

SETTINGS = SliceSettings(size=(64, 32))


def write(path, array, spacing=(1.0, 1.0, 1.0)):
    """Write an array (z, y, x) with its spacing (x, y, z)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    if array.ndim == 3:
        image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))
    return path


def noise(*shape, seed=0, dtype=np.int16):
    return (1000 * np.random.default_rng(seed).random(shape)).astype(dtype)


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_cut_across_the_axis_of_the_largest_spacing(tmp_path, ending, axis):
    array, spacing = noise(5, 6, 7), [1.0, 1.0, 1.0]
    spacing[axis] = 4.0
    (scan,) = find_scans([write(tmp_path / f"a{ending}", array, spacing)]).scans
    assert (scan.axis, scan.num_slices) == (axis, array.shape[2 - axis])
    assert np.array_equal(read_slice(scan, 3)[0], array.take(3, axis=2 - axis))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
def test_8_and_16_bit_and_float_pictures_and_volumes_are_read(tmp_path, dtype):
    write(tmp_path / "v.mha", noise(2, 8, 9, dtype=dtype))
    if dtype in (np.uint8, np.uint16):
        write(tmp_path / "p.png", noise(8, 9, dtype=dtype))
    scans = find_scans([tmp_path]).scans
    assert all(read_slice(scan, 0).shape == (1, 8, 9) for scan in scans)
    assert len(scans) == 1 + (dtype in (np.uint8, np.uint16))


def test_a_colour_picture_is_read_as_grey(tmp_path):
    image = sitk.GetImageFromArray(noise(8, 9, 3, dtype=np.uint8), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "c.png"))
    assert read_slice(find_scans([tmp_path]).scans[0], 0).shape == (1, 8, 9)


def nnunet_dataset(folder):
    for case in range(2):
        for channel in range(2):
            write(folder / "imagesTr" / f"c{case}_{channel:04d}.nii.gz", noise(3, 8, 9, seed=10 * case + channel))
            write(folder / "labelsTr" / f"c{case}.nii.gz", np.zeros((3, 8, 9), np.uint8))
    description = {"channel_names": {"0": "T1", "1": "T2"}, "file_ending": ".nii.gz", "numTraining": 2}
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


@pytest.mark.parametrize(("separate", "scans", "channels"), [(True, 4, 1), (False, 2, 2)])
def test_an_nnunet_dataset_gives_its_sequences_apart_or_together_and_no_labels(tmp_path, separate, scans, channels):
    found = find_scans([nnunet_dataset(tmp_path)], separate_channels=separate).scans
    assert [len(scan.files) for scan in found] == [channels] * scans
    assert not any("labelsTr" in str(file) for scan in found for file in scan.files)


def test_corrupt_files_are_left_out_and_named(tmp_path):
    write(tmp_path / "good.mha", noise(2, 8, 9))
    (tmp_path / "bad.nii.gz").write_bytes(b"nothing")
    found = find_scans([tmp_path])
    assert [scan.name for scan in found.scans] == ["good.mha"]
    assert [path.name for path in found.skipped] == ["bad.nii.gz"]


def test_a_folder_without_a_readable_image_is_an_error_with_the_first_reasons(tmp_path):
    (tmp_path / "bad.nii.gz").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"No readable image.*bad\.nii\.gz"):
        find_scans([tmp_path])
    with pytest.raises(UserError, match="not there"):
        find_scans([tmp_path / "absent"])


def test_intensities_are_clipped_and_scaled_by_channel_and_a_constant_channel_becomes_zero():
    image = np.stack([noise(50, 60).astype(np.float32), np.full((50, 60), 7, np.float32)])
    image[0, 0, 0] = 1e6  # metal
    scaled = scale_intensity(image)
    assert scaled[0].mean() == pytest.approx(0, abs=1e-5)
    assert scaled[0].std() == pytest.approx(1, rel=1e-5)
    assert scaled[0].max() < 2
    assert not scaled[1].any()
    np.testing.assert_allclose(scale_intensity(3 * image + 5)[0], scaled[0], atol=1e-3)


def test_nan_counts_as_the_smallest_value_and_a_slice_of_nan_is_an_error(tmp_path):
    array = noise(2, 8, 9, dtype=np.float32)
    array[0, 0, 0], array[1] = np.nan, np.nan
    (scan,) = find_scans([write(tmp_path / "a.mha", array)]).scans
    assert read_slice(scan, 0)[0, 0, 0] == np.nanmin(array[0])
    with pytest.raises(UserError, match="no finite value"):
        read_slice(scan, 1)


def test_a_slice_is_resampled_to_the_spacing_asked_for(tmp_path):
    ramp = np.broadcast_to(np.arange(40, dtype=np.float32)[None, :, None], (2, 40, 20))
    (scan,) = find_scans([write(tmp_path / "a.mha", np.ascontiguousarray(ramp), (1.0, 2.0, 5.0))]).scans
    image = prepare_slice(scan, 0, SliceSettings(size=(96, 32), spacing=(1.0, 0.5)), None)
    column = image[0, 8:88, 16]  # 40 rows of 2 mm are 80 rows of 1 mm
    assert np.all(np.diff(column[4:-4]) > 0)
    assert column[40] == pytest.approx(0, abs=0.05)


def test_resize_by_one_changes_nothing():
    image = noise(1, 8, 9).astype(np.float32)
    assert resize(image, (1.0, 1.0)) is image


@pytest.mark.parametrize(("size", "place"), [((4, 20), (0.0, 1.0)), ((20, 4), (0.5, 0.5)), ((8, 9), (1.0, 0.0))])
def test_windows_are_cut_and_filled_with_the_smallest_value(size, place):
    image = 1 + noise(1, 8, 9).astype(np.float32)
    window = cut(image, size, place)
    assert window.shape == (1, *size)
    inside = np.isin(window, image)
    assert inside.all()
    assert (window == image.min()).sum() >= size[0] * size[1] - min(8, size[0]) * min(9, size[1])


def test_an_interrupted_order_goes_on_where_it_stopped():
    whole = list(SeededSampler(10, 4, (0, 7), seed=3))
    assert whole[12:] == list(SeededSampler(10, 4, (3, 7), seed=3))
    assert sorted(draw.position for draw in whole[:10]) == list(range(10))
    assert [d.position for d in whole[:10]] != [d.position for d in whole[10:20]]


def test_two_processes_share_what_one_would_see():
    one = list(SeededSampler(10, 4, (0, 7), seed=3))
    halves = [list(SeededSampler(10, 4, (0, 7), 3, rank, 2)) for rank in (0, 1)]
    assert [draw for pair in zip(*halves, strict=True) for draw in pair] == one
    with pytest.raises(UserError, match="multiple"):
        SeededSampler(10, 5, (0, 7), 3, 0, 2)


def test_a_draw_gives_the_same_window_and_mask_every_time(tmp_path):
    write(tmp_path / "a.mha", noise(3, 80, 70))
    dataset = SliceDataset(find_scans([tmp_path]).scans, SETTINGS, 0.5)
    (image, mask), (again, same) = dataset[Draw(1, (0, 5))], dataset[Draw(1, (0, 5))]
    other, _ = dataset[Draw(1, (0, 6))]
    assert np.array_equal(image, again)
    assert np.array_equal(mask, same)
    assert not np.array_equal(image, other)
    assert (image.shape, mask.shape, int(mask.sum())) == ((1, 64, 32), (2, 1), 1)


def test_a_slice_that_cannot_be_used_is_replaced(tmp_path):
    array = noise(4, 80, 70)
    array[1:] = 5
    write(tmp_path / "a.mha", array)
    dataset = SliceDataset(find_scans([tmp_path]).scans, SETTINGS, 0.5)
    image, _ = dataset[Draw(2, (0, 0))]
    assert image.any()
    write(tmp_path / "a.mha", np.full_like(array, 5))
    with pytest.raises(UserError, match="constant"):
        dataset[Draw(2, (0, 0))]


def test_a_dicom_slice_has_the_spacing_its_file_says_and_axial_ones_are_left_out(real_data):
    folder = real_data / "rsna2024_mini"
    found = find_scans([folder / "train_images"])
    import pydicom

    assert found.scans
    assert any("sagittal" in why for why in found.skipped.values())
    for scan in found.scans[:3]:
        rows, columns = pydicom.dcmread(scan.files[0], stop_before_pixels=True).PixelSpacing
        assert scan.spacing == pytest.approx((float(columns), float(rows), 1.0))
        assert read_slice(scan, 0).std() > 0
