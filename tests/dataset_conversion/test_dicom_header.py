"""Headers of single DICOM files, whole and broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import cut, write_slice
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.dicom.header import read_slice_header

PIXELS = np.arange(30, dtype=np.uint16).reshape(5, 6)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "slice.dcm"


def problem_of(path: Path) -> str:
    with pytest.raises(CaseError) as caught:
        read_slice_header(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_field_is_read_from_its_tag(path):
    write_slice(
        path,
        PIXELS,
        study="1.2",
        series="1.2.7",
        instance="1.2.7.9",
        number=9,
        description=" SAG T2 ",
        position=(1.5, -20.25, 300.0),
        row=(0.0, 1.0, 0.0),
        column=(0.0, 0.0, -1.0),
        spacing=(0.7, 0.9),
        SliceThickness=4.0,
        SpacingBetweenSlices=9.0,
        EchoNumbers=1,
        EchoTime=102.5,
        RepetitionTime=3000.0,
        InversionTime=150.0,
        ScanningSequence=("SE", "IR"),
        ScanOptions=("FS", "PFP"),
        ProtocolName="lumbar",
        PatientID="p 1",
    )
    header = read_slice_header(path)
    assert (header.path, header.study, header.series, header.instance) == (path, "1.2", "1.2.7", "1.2.7.9")
    assert (header.number, header.description, header.patient, header.protocol) == (9, "SAG T2", "p 1", "lumbar")
    assert header.position == (1.5, -20.25, 300.0)
    assert (header.row, header.column) == ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
    assert header.spacing == (0.7, 0.9)  # x, y: the file says rows first
    assert [float(value) for value in pydicom.dcmread(path).PixelSpacing] == [0.9, 0.7]
    assert header.size == (6, 5)
    assert (header.echo, header.echo_time, header.repetition_time, header.inversion_time) == (
        "1/102.5",
        102.5,
        3000,
        150,
    )
    assert (header.sequence, header.options, header.thickness) == (("SE", "IR"), ("FS", "PFP"), 4.0)
    assert (header.transfer_syntax, header.bits, header.pixel_bytes) == (ExplicitVRLittleEndian, 16, 60)


def test_what_the_geometry_does_not_need_may_be_missing(path):
    unneeded = (
        "SOPClassUID",
        "Modality",
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SeriesDescription",
    )
    unneeded += ("PatientID", "InstanceNumber", "SamplesPerPixel", "PhotometricInterpretation")
    write_slice(path, PIXELS, **dict.fromkeys(unneeded))
    header = read_slice_header(path)
    assert (header.study, header.series, header.instance, header.description, header.patient) == ("",) * 5
    assert (header.number, header.echo, header.echo_time, header.thickness) == (None, "", None, None)
    assert header.size == (6, 5)


@pytest.mark.parametrize(("preamble", "meta"), [(False, True), (True, False), (False, False)])
def test_preamble_and_meta_information_may_be_missing(path, preamble, meta):
    write_slice(path, PIXELS, preamble=preamble, meta=meta, SOPClassUID=None)
    header = read_slice_header(path)
    assert (header.size, header.transfer_syntax, header.pixel_bytes) == ((6, 5), ExplicitVRLittleEndian, 60)


@pytest.mark.parametrize(
    ("syntax", "pixel_bytes"),
    [(ImplicitVRLittleEndian, 60), (ExplicitVRBigEndian, 60), (DeflatedExplicitVRLittleEndian, None)],
)
def test_other_encodings_give_the_same_header(path, tmp_path, syntax, pixel_bytes):
    dataset = pydicom.dcmread(write_slice(path, PIXELS, position=(1.0, 2.0, 3.0)))
    dataset.file_meta.TransferSyntaxUID = syntax
    other = tmp_path / "other.dcm"
    little = syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(other, dataset, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=little)
    header = read_slice_header(other)
    assert (header.position, header.size, header.transfer_syntax) == ((1.0, 2.0, 3.0), (6, 5), syntax)
    assert header.pixel_bytes == pixel_bytes


@pytest.mark.parametrize(
    "missing", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "BitsAllocated"]
)
def test_a_missing_tag_of_the_geometry_is_named(path, missing):
    assert f"{missing} is missing" in problem_of(write_slice(path, PIXELS, **{missing: None}))


@pytest.mark.parametrize(
    ("tag", "value", "said"),
    [
        ("ImagePositionPatient", "", "ImagePositionPatient is empty"),
        ("ImagePositionPatient", "1\\2", "expected 3 number(s) in ImagePositionPatient, got 1\\2"),
        ("ImagePositionPatient", "1\\2\\here", "expected 3 number(s) in ImagePositionPatient, got 1\\2\\here"),
        ("ImagePositionPatient", "1\\2\\inf", "expected 3 number(s) in ImagePositionPatient"),
        ("PixelSpacing", "0\\0", "expected 2 positive number(s) in PixelSpacing, got 0\\0"),
        ("PixelSpacing", "0.5", "expected 2 positive number(s) in PixelSpacing, got 0.5"),
        ("Rows", 0, "expected 1 positive number(s) in Rows, got 0"),
        ("ImageOrientationPatient", "0\\0\\0\\0\\0\\0", "expected two unit vectors at right angles"),
        ("ImageOrientationPatient", "1\\0\\0\\1\\0\\0", "expected two unit vectors at right angles"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(path, tag, value, said):
    assert said in problem_of(write_slice(path, PIXELS, **{tag: value}))


def test_wrong_values_elsewhere_do_no_harm(path):
    write_slice(path, PIXELS, EchoTime="long", InstanceNumber="first", SliceThickness="nan")
    header = read_slice_header(path)
    assert (header.echo_time, header.number, header.thickness) == (None, None, None)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"This is a text file.\n" * 50, b"\x08\x00" + bytes(range(256)) * 3, b"\x89PNG\r\n" + bytes(500)],
    ids=["empty", "one byte", "text", "noise", "png"],
)
def test_a_file_that_is_not_dicom_is_refused_whatever_its_name(path, content):
    path.write_bytes(content)
    assert "not a DICOM file" in problem_of(path) or "damaged" in problem_of(path)


def test_a_text_file_is_called_what_it_is(path):
    path.write_text("study, series\n" * 40)
    assert "is not a DICOM file" in problem_of(path)


def test_a_missing_file_is_named(path):
    assert "cannot be read: No such file" in problem_of(path)


@pytest.mark.parametrize(("preamble", "step"), [(True, 7), (False, 1)])
def test_a_header_cut_off_anywhere_is_refused(path, preamble, step):
    whole = write_slice(path, PIXELS, preamble=preamble, SliceThickness=4.0, EchoTime=90.0).read_bytes()
    header_bytes = len(whole) - PIXELS.nbytes
    for length in range(0, header_bytes, step):
        path.write_bytes(whole[:length])
        problem_of(path)
    path.write_bytes(whole[:header_bytes])
    assert read_slice_header(path).pixel_bytes == 0  # the header is whole, and says that all pixels are missing


def test_missing_pixel_bytes_are_counted_not_refused(path):
    cut(write_slice(path, PIXELS), 7)
    assert read_slice_header(path).pixel_bytes == 53


def test_dicom_without_pixels_is_no_image(path):
    dataset = pydicom.dcmread(write_slice(path, PIXELS))
    del dataset.PixelData
    dataset.save_as(path)
    assert "ends before its pixel data" in problem_of(path)
    dataset.FloatPixelData = bytes(120)
    dataset.save_as(path)
    assert "found no pixel data" in problem_of(path)


def test_several_frames_are_refused(path):
    assert "multi-frame (enhanced) DICOM file (3 frames)" in problem_of(write_slice(path, PIXELS, NumberOfFrames=3))
    dataset = pydicom.dcmread(write_slice(path, PIXELS))
    dataset.PerFrameFunctionalGroupsSequence = Sequence([pydicom.Dataset()])
    dataset.save_as(path)
    assert "multi-frame (enhanced)" in problem_of(path)


def test_one_frame_by_its_number_is_a_slice(path):
    assert read_slice_header(write_slice(path, PIXELS, NumberOfFrames=1)).size == (6, 5)


@pytest.mark.parametrize(("colours", "samples"), [("RGB", 3), ("YBR_FULL", 3), ("PALETTE COLOR", 1)])
def test_colour_is_refused(path, colours, samples):
    problem = problem_of(write_slice(path, PIXELS, SamplesPerPixel=samples, PhotometricInterpretation=colours))
    assert f"got a colour image ({colours})" in problem


def test_a_description_in_its_own_character_set_is_decoded(path):
    write_slice(
        path, PIXELS, SpecificCharacterSet="GB18030", description=None, SeriesDescription="腰椎 T2".encode("gb18030")
    )
    assert read_slice_header(path).description == "腰椎 T2"


def test_odd_values_raise_no_warnings(path, recwarn):
    write_slice(path, PIXELS, study="not a uid", PatientID="x" * 100, description="d" * 90)
    assert read_slice_header(path).study == "not a uid"
    assert [str(warning.message) for warning in recwarn] == []


def test_a_size_that_no_scanner_makes_is_refused_before_pixels_are_read(path):
    write_slice(path, PIXELS, Rows=40000, Columns=40000)
    assert "40000 x 40000 pixels" in problem_of(path)
    write_slice(path, PIXELS, Rows=65535, Columns=65535)
    assert "65535 x 65535 voxels, at most" in problem_of(path)
