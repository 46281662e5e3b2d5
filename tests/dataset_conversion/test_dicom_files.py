"""The tests' own DICOM writer, held against pydicom."""

from __future__ import annotations

import warnings

import numpy as np
import pydicom
import pytest
from dicom_files import write_slice
from pydicom.uid import RLELossless

PIXELS = np.arange(15, dtype=np.uint8).reshape(5, 3)  # an odd number of bytes


def test_pydicom_reads_what_it_writes_without_a_warning(tmp_path):
    write_slice(tmp_path / "a.dcm", PIXELS, position=(1 / 3, -2e-5, 123456.789), EchoTime=9.5, SliceThickness=4)
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    assert [float(value) for value in dataset.ImagePositionPatient] == pytest.approx(
        [1 / 3, -2e-5, 123456.789], rel=1e-8
    )
    assert (dataset.EchoTime, dataset.SliceThickness, dataset.Modality) == (9.5, 4, "MR")
    np.testing.assert_array_equal(dataset.pixel_array, PIXELS)


def test_pydicom_writes_the_same_bytes(tmp_path):
    path = write_slice(tmp_path / "a.dcm", PIXELS, ScanOptions=("FS", "PFP"))
    dataset = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(tmp_path / "b.dcm")
    assert (tmp_path / "b.dcm").read_bytes() == path.read_bytes()


def test_frames_are_encapsulated(tmp_path):
    write_slice(tmp_path / "a.dcm", PIXELS, transfer_syntax=RLELossless, frame=b"12345678")
    dataset = pydicom.dcmread(tmp_path / "a.dcm")
    assert dataset.file_meta.TransferSyntaxUID == RLELossless
    assert list(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)) == [b"12345678"]
