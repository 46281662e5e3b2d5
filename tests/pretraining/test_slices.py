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
    assert [scan.num_channels for scan in found] == [channels] * scans
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


def preprocessed_dataset(root, configurations=("2d",)):
    """A data set as nnU-Net leaves it after preprocessing, two cases of two channels."""
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

    root.mkdir()
    spacings = {"2d": [0.5, 0.75], "3d_fullres": [4.0, 0.5, 0.75]}
    entries = {n: {"data_identifier": f"nnUNetPlans_{n}", "spacing": spacings[n]} for n in configurations}
    entries["3d_cascade_fullres"] = {"inherits_from": "3d_fullres"}
    (root / "nnUNetPlans.json").write_text(json.dumps({"configurations": entries}))
    data = {case: noise(2, 3, 8, 9, seed=case).astype(np.float32) for case in range(2)}
    for name in configurations:
        folder = root / f"nnUNetPlans_{name}"
        folder.mkdir()
        for case, array in data.items():
            seg = np.zeros((1, *array.shape[1:]), np.int8)
            nnUNetDatasetBlosc2.save_case(array, seg, {}, str(folder / f"c{case}"))
    return data


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_a_preprocessed_data_set_is_read_slice_by_slice_at_the_plans_spacing(tmp_path, configuration):
    data = preprocessed_dataset(tmp_path / "d", (configuration,))
    apart = find_scans([tmp_path / "d"]).scans
    assert [scan.name for scan in apart] == ["c0_0000", "c0_0001", "c1_0000", "c1_0001"]
    assert np.array_equal(read_slice(apart[3], 2), data[1][1:, 2])
    assert apart[0].spacing[:2] == (0.75, 0.5)
    (first, _) = find_scans([tmp_path / "d" / f"nnUNetPlans_{configuration}"], separate_channels=False).scans
    assert (first.num_channels, first.num_slices) == (2, 3)
    assert np.array_equal(read_slice(first, 1), data[0][:, 1])


def test_of_a_preprocessed_data_set_the_2d_configuration_is_taken(tmp_path):
    preprocessed_dataset(tmp_path / "d", ("3d_fullres", "2d"))
    scans = find_scans([tmp_path / "d"]).scans
    assert {scan.files[0].parent.name for scan in scans} == {"nnUNetPlans_2d"}


def test_a_data_set_that_was_planned_and_not_preprocessed_is_refused(tmp_path):
    preprocessed_dataset(tmp_path / "d", ())
    with pytest.raises(UserError, match="nnUNetv2_preprocess"):
        find_scans([tmp_path / "d"])


def label_map(seed=0):
    return np.kron(np.random.default_rng(seed).integers(0, 5, (4, 3, 3)), np.ones((1, 8, 8))).astype(np.uint8)


def test_labels_in_the_place_of_images_are_refused(tmp_path):
    for n in range(3):
        write(tmp_path / "p" / f"{n}.mha", label_map(n))
    with pytest.raises(UserError, match=r"looks like labels.*Give the folder of the images"):
        find_scans([tmp_path])


@pytest.mark.parametrize("folder", ["masks", "labelsTr"])
def test_a_folder_of_labels_by_name_is_left_out_of_a_search_and_refused_alone(tmp_path, folder):
    write(tmp_path / folder / "a.mha", label_map())
    write(tmp_path / "images" / "a.mha", noise(4, 24, 24))
    found = find_scans([tmp_path])
    assert [scan.name for scan in found.scans] == ["images/a.mha"]
    assert list(found.skipped) == [tmp_path / folder]
    with pytest.raises(UserError, match="a folder of labels"):
        find_scans([tmp_path / folder])


def test_an_image_of_few_grey_values_is_no_label_map(tmp_path):
    write(tmp_path / "a.mha", np.random.default_rng(0).integers(0, 30, (4, 24, 24)).astype(np.uint8))
    assert len(find_scans([tmp_path]).scans) == 1
