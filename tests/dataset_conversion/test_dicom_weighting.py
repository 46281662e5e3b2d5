"""T1, T2 and fat suppression from descriptions and timing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_slice

from nnunet_textguided.dataset_conversion.dicom.header import SliceHeader, read_slice_header
from nnunet_textguided.dataset_conversion.dicom.stack import Stack
from nnunet_textguided.dataset_conversion.dicom.weighting import is_fat_suppressed, weighting


def header(tmp_path: Path, description: str | None, **tags: object) -> SliceHeader:
    pixels = np.zeros((2, 2), np.uint8)
    return read_slice_header(write_slice(tmp_path / "slice.dcm", pixels, description=description, **tags))


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("T1", "T1"),
        ("T2", "T2"),
        ("SAG T1 FSE", "T1"),
        ("t2_tse_sag_320", "T2"),
        ("sT2W_TSE", "T2"),
        ("T1W_TSE SENSE", "T1"),
        ("Sagittal T2/STIR", "T2"),
        ("OSag T2 FrFSE", "T2"),
        ("SagT2", "T2"),
        ("T2WI sag", "T2"),
        ("sag t1 flair", "T1"),
        ("STIR SAG", "T2"),
        ("tirm_sag", "T2"),
        ("t1_tirm_sag", "T1"),
        ("腰椎T2矢状", "T2"),
        ("T2* sag", None),
        ("t2_star_med", None),
        ("T12 level", None),
        ("POST1", None),
        ("PD sag", None),
        ("3-pl T2 LOC", None),
        ("localizer", None),
        ("T2 myelogram", None),
        ("sag", None),
        ("", None),
    ],
)
def test_the_description_decides(tmp_path, description, expected):
    assert weighting(header(tmp_path, description)) == expected


def test_the_description_prevails_over_protocol_and_timing(tmp_path):
    assert weighting(header(tmp_path, "T1 sag", ProtocolName="t2_tse", EchoTime=100.0)) == "T1"


def test_the_protocol_is_asked_where_the_description_is_silent(tmp_path):
    assert weighting(header(tmp_path, "SAG", ProtocolName="t1_tse_sag")) == "T1"


@pytest.mark.parametrize(
    ("echo", "repetition", "expected"),
    [(10.0, 550.0, "T1"), (10.0, 3000.0, None), (10.0, None, None), (45.0, 550.0, None), (95.0, 3500.0, "T2")],
)
def test_timing_decides_where_no_text_does(tmp_path, echo, repetition, expected):
    slice_header = header(tmp_path, None, EchoTime=echo, RepetitionTime=repetition, ScanningSequence="SE")
    assert weighting(slice_header) == expected
    assert weighting(Stack((slice_header,))) == expected


@pytest.mark.parametrize("sequence", ["GR", "EP", ("EP", "SE")])
def test_timing_says_nothing_about_gradient_echoes(tmp_path, sequence):
    assert weighting(header(tmp_path, "sag", EchoTime=5.0, RepetitionTime=9.0, ScanningSequence=sequence)) is None
    assert weighting(header(tmp_path, "sag", EchoTime=90.0, RepetitionTime=9.0, ScanningSequence=sequence)) is None


@pytest.mark.parametrize(("echo", "expected"), [(12.0, None), (95.0, "T2")])
def test_timing_tells_apart_the_two_echoes_of_a_series(tmp_path, echo, expected):
    assert weighting(header(tmp_path, "PD/T2 sag", EchoTime=echo, RepetitionTime=3000.0)) == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("T2 FS", True),
        ("t2_tse_fs_sag", True),
        ("SAG T2FS", True),
        ("T2 FatSat", True),
        ("T2 fat sat", True),
        ("T1 fat suppressed", True),
        ("STIR", True),
        ("t2_tirm", True),
        ("T2W_SPAIR", True),
        ("T2 IDEAL water", True),
        ("t2_tse_dixon_sag_W", True),
        ("T2 FSE", False),
        ("T2 FrFSE", False),
        ("t1_tirm_dark", False),
        ("T2W_TSE", False),
        ("t2_tse_dixon_sag_F", False),
        ("", False),
    ],
)
def test_fat_suppression_is_known_by_words(tmp_path, description, expected):
    assert is_fat_suppressed(header(tmp_path, description)) is expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"ScanOptions": ("PFP", "FS")}, True),
        ({"ScanOptions": ("PFP", "SFS")}, False),
        ({"InversionTime": 160.0}, True),
        ({"InversionTime": 850.0}, False),
        ({}, False),
    ],
)
def test_fat_suppression_is_known_by_scan_options_and_inversion_time(tmp_path, tags, expected):
    assert is_fat_suppressed(header(tmp_path, "T2", **tags)) is expected
