"""Headers that announce what cannot be are refused before memory is taken for the voxels."""

from __future__ import annotations

import gzip
import resource
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.cli.doctor_checks.dataset import orientations
from nnunet_textguided.dataset_conversion.base.geometry import read_volume
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.relabelling.relabel_mask import read_codes
from nnunet_textguided.errors import UserError
from nnunet_textguided.image_headers import VOXELS_VARIABLE, check_plausible, read_image, read_image_header
from nnunet_textguided.inference.input_cases import InputError, read_header
from nnunet_textguided.pretraining.scan_headers import read_header as read_scan_header

OURS = (read_image_header, read_header, read_volume, read_codes, read_scan_header, lambda path: orientations([path]))


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
