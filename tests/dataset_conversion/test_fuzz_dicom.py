"""DICOM: any header gives a slice that has a place in space, or a UserError; so do the stacks of such slices."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_slice
from fuzzing import BYTES, FAST_IMAGES, SLOW, damaged, survives
from hypothesis import given
from hypothesis import strategies as st

from nnunet_textguided.dataset_conversion.dicom.header import read_slice_header
from nnunet_textguided.dataset_conversion.dicom.stack import stacks_of

PIXELS = np.arange(12, dtype=np.int16).reshape(3, 4)
TAGS = (
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SeriesDescription", "PatientID", "InstanceNumber"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "BitsAllocated"),
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "SliceThickness", "EchoTime", "EchoNumbers"),
    *("RepetitionTime", "ScanningSequence", "PerFrameFunctionalGroupsSequence", "TransferSyntaxUID"),
)
VALUES = (
    st.none()
    | st.sampled_from(
        [
            *(
                b"",
                b"0 ",
                b"-1",
                b"nan ",
                b"inf ",
                b"1e999 ",
                b"9" * 300,
                b"9" * 5000,
                b"x ",
                b"1\\2 ",
                b"1\\2\\3 ",
                b"\\\\",
            ),
            *(
                b"0\\0\\0 ",
                b"1e300\\1e300\\1e300 ",
                b"0\\1\\0\\0\\0\\-1 ",
                b"0\\0\\0\\0\\0\\0 ",
                b"0.5\\0 ",
                b"1e-300\\1e-300 ",
            ),
            *(
                b"\0\0",
                b"\1\0",
                b"\xff\xff",
                b"\0\0\0\0",
                b"\xc3\xa9",
                b"1.2.840.10008.1.2.1.99",
                b"1.2.840.10008.1.2.2",
            ),
        ]
    )
    | st.binary(max_size=8)
)


@cache
def sound(folder: Path) -> bytes:
    return write_slice(folder / "sound.dcm", PIXELS).read_bytes()


def read(folder: Path, data: st.DataObject) -> None:
    path = folder / "fuzz.dcm"
    tags = data.draw(st.dictionaries(st.sampled_from(TAGS), VALUES, max_size=3))
    write_slice(path, PIXELS, **tags)
    kind = data.draw(st.integers(0, 4))
    if kind == 0:
        path.write_bytes(data.draw(BYTES | BYTES.map(lambda rest: bytes(128) + b"DICM" + rest)))
    elif kind == 1:
        path.write_bytes(data.draw(damaged(path.read_bytes())))
    header = survives(lambda: read_slice_header(path))
    if header is None:
        return
    assert min(*header.size, *header.spacing) > 0
    assert all(map(math.isfinite, (*header.position, *header.row, *header.column)))
    sound(folder)
    others = [read_slice_header(folder / "sound.dcm"), header]
    for stack in (survives(lambda: stacks_of(others)) or ([],))[0]:
        assert np.isfinite(stack.heights).all()
        assert all(0 < mm < math.inf for mm in stack.spacing)


@FAST_IMAGES
@given(data=st.data())
def test_any_header_gives_a_slice_or_a_user_error(data: st.DataObject, tmp_path_factory):
    read(tmp_path_factory.getbasetemp(), data)


@pytest.mark.slow
@SLOW
@given(data=st.data())
def test_any_header_gives_a_slice_or_a_user_error_at_length(data: st.DataObject, tmp_path_factory):
    read(tmp_path_factory.getbasetemp(), data)


def test_the_sound_slice_is_read(tmp_path: Path):
    sound(tmp_path)
    header = read_slice_header(tmp_path / "sound.dcm")
    assert header.size == (4, 3)
    (stack,), _ = stacks_of([header])
    assert stack.slices == (header,)
