from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.nifti import IncompleteFileError, check_complete


@pytest.fixture(params=[np.uint8, np.int16, np.float64])
def image(request: pytest.FixtureRequest) -> sitk.Image:
    return sitk.GetImageFromArray(np.random.default_rng(0).integers(1, 99, (4, 30, 20)).astype(request.param))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_whole_files_pass_and_a_missing_byte_is_found(image: sitk.Image, tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"x{ending}"
    sitk.WriteImage(image, str(file))
    check_complete(file)
    content = file.read_bytes()
    for lost in (1, len(content) // 2):
        file.write_bytes(content[:-lost])
        with pytest.raises(IncompleteFileError, match=rf"x{ending} is not a readable image"):
            check_complete(file)


def test_compressed_again_after_the_cut_is_found(image: sitk.Image, tmp_path: Path) -> None:
    file = tmp_path / "x.nii.gz"
    sitk.WriteImage(image, str(file))
    content = gzip.decompress(file.read_bytes())
    file.write_bytes(gzip.compress(content[:-1]))
    with pytest.raises(IncompleteFileError, match=f"{len(content) - 1} of {len(content)} bytes"):
        check_complete(file)


def test_bytes_after_the_voxels_and_split_streams_are_allowed(image: sitk.Image, tmp_path: Path) -> None:
    file = tmp_path / "x.nii.gz"
    sitk.WriteImage(image, str(file))
    content = gzip.decompress(file.read_bytes())
    file.write_bytes(gzip.compress(content[:500]) + gzip.compress(content[500:] + b"extra"))
    check_complete(file)


def test_big_endian_and_nifti2_headers_are_understood(tmp_path: Path) -> None:
    big, second = bytearray(352), bytearray(544)
    struct.pack_into(">i", big, 0, 348)
    struct.pack_into(">8h", big, 40, 3, 5, 4, 3, 1, 1, 1, 1)
    struct.pack_into(">h", big, 72, 16)
    struct.pack_into(">f", big, 108, 352)
    struct.pack_into("<i", second, 0, 540)
    struct.pack_into("<h", second, 14, 16)
    struct.pack_into("<8q", second, 16, 3, 5, 4, 3, 1, 1, 1, 1)
    struct.pack_into("<q", second, 168, 544)
    for header in (big, second):
        file = tmp_path / "x.nii"
        file.write_bytes(bytes(header) + bytes(120))
        check_complete(file)
        file.write_bytes(bytes(header) + bytes(119))
        with pytest.raises(IncompleteFileError):
            check_complete(file)


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f\x8b", b"not an image at all, just text" * 30])
def test_what_is_no_nifti_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.nii.gz").write_bytes(content)
    with pytest.raises(IncompleteFileError, match="not NIfTI, or cut short"):
        check_complete(tmp_path / "x.nii.gz")


def test_the_text_says_how_much_of_a_broken_stream_is_there(tmp_path: Path) -> None:
    file = tmp_path / "x.nii.gz"
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 60)).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(file))
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(IncompleteFileError) as caught:
        check_complete(file)
    found = int(str(caught.value).split("cut short, ")[1].split(" of ")[0])
    assert 0.4 < found / (352 + noise.size) < 0.6


def test_other_formats_pass_unread(tmp_path: Path) -> None:
    check_complete(tmp_path / "nowhere.mha")
