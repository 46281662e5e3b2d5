"""Headers that announce what cannot be are refused before memory is taken for the voxels."""

from __future__ import annotations

import gzip
import json
import re
import resource
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from nnunetv2.evaluation import evaluate_predictions  # noqa: F401 (torch's memory is not the images')

from nnunet_textguided.cli.doctor_checks.dataset import orientations
from nnunet_textguided.dataset_conversion.base.geometry import read_volume
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.relabelling.relabel_mask import read_codes
from nnunet_textguided.errors import UserError
from nnunet_textguided.evaluation.metrics import score_case
from nnunet_textguided.evaluation.task import read_task
from nnunet_textguided.image_headers import (
    VOXELS_VARIABLE,
    check_image,
    check_plausible,
    read_image,
    read_image_header,
)
from nnunet_textguided.inference.input_cases import InputError, read_header
from nnunet_textguided.inference.name_order import order_folder
from nnunet_textguided.pretraining.scan_headers import read_header as read_scan_header

COLUMN = {"background": 0, "L5": 1, "S": 2, "L5/S": 3, "L4/L5": 4, "L3/L4": 5}


def dataset_of(path: Path) -> tuple[Path, str]:
    ending = ".nii.gz" if path.suffix == ".gz" else path.suffix
    file = path.with_name("dataset.json")
    file.write_text(json.dumps({"labels": COLUMN, "file_ending": ending, "channel_names": {"0": "T2"}}))
    return file, ending


def evaluate(path: Path) -> None:
    score_case("case", path, path, read_task(dataset_of(path)[0]))


def order_names(path: Path) -> None:
    dataset_json, ending = dataset_of(path)
    order_folder(path.parent, path.parent / "ordered", dataset_json, [path.name.removesuffix(ending)])


OURS = (
    *(read_image_header, read_header, read_volume, read_codes, read_scan_header, check_image, evaluate, order_names),
    lambda path: orientations([path]),
)


def nifti(path: Path, size=(5, 4, 3), spacing=(1.0, 1.0, 4.0), voxels: int = 120) -> Path:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, len(size), *size, *[1] * (7 - len(size)))
    struct.pack_into("<2h", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1.0, *spacing, *[0.0] * (7 - len(spacing)))
    struct.pack_into("<f", header, 108, 352)
    header[344:348] = b"n+1\0"
    content = bytes(header) + bytes(voxels)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def mha(path: Path, size: str = "5 4 3", spacing: str = "1 1 4", more: str = "", voxels: int = 120) -> Path:
    text = f"ObjectType = Image\nNDims = {len(size.split())}\nBinaryData = True\n{more}DimSize = {size}\n"
    text += f"ElementSpacing = {spacing}\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    path.write_bytes(text.encode() + bytes(voxels))
    return path


def test_sound_headers_are_read(tmp_path: Path):
    for path in (nifti(tmp_path / "a.nii"), nifti(tmp_path / "a.nii.gz"), mha(tmp_path / "a.mha")):
        header = read_image_header(path)
        assert (header.size, header.spacing, header.components) == ((5, 4, 3), (1, 1, 4), 1)
        assert np.array_equal(sitk.GetArrayFromImage(read_image(path)), np.zeros((3, 4, 5)))


HUGE = {
    "too many voxels.nii": lambda p: nifti(p, (32767, 32767, 32767)),
    "too many voxels.nii.gz": lambda p: nifti(p, (32767, 32767, 32767)),
    "more than the file.nii.gz": lambda p: nifti(p, (1000, 1000, 1000)),
    "more than the file.nii": lambda p: nifti(p, (1000, 1000, 1000)),
    "too many voxels.mha": lambda p: mha(p, "60000 60000 60000"),
    "more than the file.mha": lambda p: mha(p, "1200 1200 1200"),
    "more than it unpacks to.mha": lambda p: mha(p, "1200 1200 1200", more="CompressedData = True\n"),
}


@pytest.mark.parametrize("name", HUGE)
def test_huge_sizes_are_refused_by_all_who_read_in_little_memory_and_time(tmp_path: Path, name: str):
    path = HUGE[name](tmp_path / name)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    for read in OURS:
        with pytest.raises(UserError, match=path.name):
            read(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB; the voxels would take 2 GB
    assert time.process_time() - start < 5


def tiff(path: Path, width: int) -> Path:
    tifffile.imwrite(path, np.zeros((4, 5), np.uint8), metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages[0].tags[name].overwrite(width)
    return path


def png(path: Path, width: int) -> Path:
    parts = {
        b"IHDR": struct.pack(">2I5B", width, width, 8, 0, 0, 0, 0),
        b"IDAT": zlib.compress(bytes(99)),
        b"IEND": b"",
    }
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts.items())
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def bmp(path: Path, width: int) -> Path:
    header = struct.pack("<2sI2HI", b"BM", 1100, 0, 0, 54) + struct.pack("<I2i2H6I", 40, width, width, 1, 24, *[0] * 6)
    path.write_bytes(header + bytes(999))
    return path


@pytest.mark.parametrize("make", [tiff, png, bmp])
def test_pictures_that_only_nnunets_own_readers_take_are_refused_too(tmp_path: Path, make):
    with pytest.raises(UserError, match=f"huge.{make.__name__}"):
        check_image(make(tmp_path / f"huge.{make.__name__}", 60_000))
    check_image(make(tmp_path / f"sound.{make.__name__}", 5))
    (tmp_path / f"none.{make.__name__}").write_bytes(b"none")
    with pytest.raises(UserError, match=f"none.{make.__name__} is not a readable image"):
        check_image(tmp_path / f"none.{make.__name__}")


def test_axes_at_any_angle_are_nibabels_business(tmp_path: Path):
    """SimpleITK refuses such a file, and models read by nibabel take it."""
    path = nifti(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<2h", content, 252, 0, 2)
    struct.pack_into("<12f", content, 280, 1, 0.5, 0, 0, 0, 1, 0, 0, 0, 0, 4, 0)
    path.write_bytes(content)
    with pytest.raises(UserError, match="orthonormal"):
        read_image_header(path)
    check_image(path)


@pytest.mark.parametrize("mm", [0.0, -1.0, float("nan"), float("inf"), 1e9])
@pytest.mark.parametrize("make", [lambda p, mm: nifti(p, spacing=(1.0, mm, 4.0))])
def test_spacings_that_are_none_are_refused(tmp_path: Path, make, mm: float):
    path = make(tmp_path / "a.nii", mm)
    for read in OURS:
        with pytest.raises(UserError, match=r"a\.nii"):
            read(path)


@pytest.mark.parametrize("spacing", ["1 0 4", "1 -1 4", "1 nan 4", "1 1e9 4"])
def test_spacings_of_metaimages(tmp_path: Path, spacing: str):
    with pytest.raises(UserError, match=r"a\.mha"):
        read_image_header(mha(tmp_path / "a.mha", spacing=spacing))


@pytest.mark.parametrize("size", [(0, 4, 3), (-5, 4, 3), (5, 4, 0)])
def test_axes_without_voxels_are_refused(tmp_path: Path, size: tuple[int, int, int]):
    with pytest.raises(UserError, match=r"a\.nii: its header says a size"):
        read_image_header(nifti(tmp_path / "a.nii", size))
    with pytest.raises(UserError, match=r"a\.mha"):
        read_image_header(mha(tmp_path / "a.mha", " ".join(map(str, size))))


def test_many_axes_are_refused_before_itk_counts_them(tmp_path: Path):
    with pytest.raises(UserError, match="20 axes"):
        read_image_header(mha(tmp_path / "a.mha", " ".join(["1"] * 20)))


@pytest.mark.parametrize("axes", ["-1", "300", "2147483647", "3.5", "", "x"])
@pytest.mark.parametrize("before", ["", "Comment = " + "x" * 100_000 + "\n"], ids=["", "after much text"])
def test_a_number_of_axes_that_makes_itk_crash_is_refused(tmp_path: Path, axes: str, before: str):
    path = mha(tmp_path / "a.mha")
    path.write_bytes(before.encode() + path.read_bytes().replace(b"NDims = 3", f"NDims = {axes}".encode()))
    with pytest.raises(UserError, match=rf"a\.mha: its header says {re.escape(axes)} axes; expected 2 or 3"):
        read_image_header(path)


NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 5 4 3\nendian: little\nencoding: raw\n"


@pytest.mark.parametrize("line", ["sizes: ", "units: ", "no field of NRRD"])
def test_a_field_of_nrrd_that_makes_itk_crash_is_refused(tmp_path: Path, line: str):
    path = tmp_path / "a.nrrd"
    path.write_bytes(f"{NRRD}{line}{'x' * 1100}\n\n".encode() + bytes(120))
    with pytest.raises(UserError, match=rf"a\.nrrd, line 7: a field of {1100 + len(line)} bytes, at most 1000"):
        read_image_header(path)


def test_long_comments_and_notes_of_programs_in_nrrd_are_read(tmp_path: Path):
    path, long = tmp_path / "a.nrrd", "x" * 100_000
    path.write_bytes(f"{NRRD}# {long}\nSegment0_Tags:={long}\n\n".encode() + bytes(120))
    assert read_image_header(path).size == (5, 4, 3)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_a_header_without_end_is_refused(tmp_path: Path, ending: str):
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"NRRD0004\n" + b"Comment = x\n" * 400_000)
    with pytest.raises(UserError, match=rf"a{ending}: its header does not end within 4 MB"):
        read_image_header(path)


def test_a_flat_image_without_a_third_spacing_is_read(tmp_path: Path):
    assert read_image_header(nifti(tmp_path / "a.nii", (5, 4), (1.0, 2.0), 40)).size == (5, 4)


def test_the_variable_sets_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = nifti(tmp_path / "a.nii")
    monkeypatch.setenv(VOXELS_VARIABLE, "59")
    with pytest.raises(UserError, match=rf"5 x 4 x 3 voxels, at most 59 .*{VOXELS_VARIABLE}"):
        read_image_header(path)
    monkeypatch.setenv(VOXELS_VARIABLE, "60")
    read_image_header(path)
    monkeypatch.setenv(VOXELS_VARIABLE, "many")
    with pytest.raises(UserError, match=VOXELS_VARIABLE):
        check_plausible((1,), (1.0,), "x")


def test_errors_are_of_the_kind_that_callers_expect(tmp_path: Path):
    path = nifti(tmp_path / "a.nii", spacing=(1.0, 0.0, 1.0))
    with pytest.raises(InputError):
        read_header(path)
    with pytest.raises(CaseError):
        read_volume(path)


def test_a_stream_without_end_behind_the_voxels_is_not_followed(tmp_path: Path):
    path = nifti(tmp_path / "a.nii.gz")
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(40 << 20), 1))
    start = time.process_time()
    read_image_header(path)
    assert time.process_time() - start < 2


def test_voxels_in_a_file_of_their_own_are_found_there(tmp_path: Path):
    path = mha(tmp_path / "a.mhd", voxels=0)
    path.write_text(path.read_text().replace("LOCAL", "a.raw"))
    (tmp_path / "a.raw").write_bytes(bytes(120))
    assert read_image(path).GetSize() == (5, 4, 3)
    path.rename(tmp_path / "a.mha")
    assert read_image(tmp_path / "a.mha").GetSize() == (5, 4, 3)
