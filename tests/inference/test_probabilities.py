"""Probabilities of others are looked at before nnU-Net unpacks them."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.probabilities import check_probabilities, probability_shape


def npz(
    path: Path, shape: tuple[int, ...], kind: str = "<f4", name: str = "probabilities.npy", data: int = 100
) -> Path:
    """A header that says anything, with a few numbers behind it."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, stream.getvalue() + bytes(data))
    return path


def test_what_nnunet_writes_is_read_without_its_numbers(tmp_path: Path):
    for kind in (np.float16, np.float32):
        np.savez_compressed(tmp_path / "a.npz", probabilities=np.zeros((3, 4, 5, 6), kind))
        assert probability_shape(tmp_path / "a.npz") == (3, 4, 5, 6)
    check_probabilities([tmp_path / "a.npz"] * 2, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": (3, 5000, 5000, 5000)}, "5000 x 5000 x 5000 voxels, at most"),
        ({"shape": (1 << 40, 2, 2, 2), "data": 0}, "unpacks to 0 bytes"),
        ({"shape": (3, 40, 50, 60)}, "unpacks to 100 bytes"),
        ({"shape": (2, 2, 2)}, "expected one array"),
        ({"shape": (3, 0, 2, 2)}, "at least 1 along each axis"),
        ({"shape": (3, 2, 2, 2), "kind": "|O"}, "type object"),
        ({"shape": (3, 2, 2, 2), "kind": "<i4"}, "type int32"),
        ({"shape": (3, 2, 2, 2), "name": "other.npy"}, "is not nnU-Net's probabilities"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, options: dict, words: str):
    with pytest.raises(UserError, match=rf"a\.npz.*({words})"):
        probability_shape(npz(tmp_path / "a.npz", **options))


def test_a_second_entry_that_numpy_would_take_instead_is_refused(tmp_path: Path):
    path = npz(tmp_path / "a.npz", (1, 1, 5, 5))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("probabilities", bytes(10_000_000))
    with pytest.raises(UserError, match="expected one array"):
        probability_shape(path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"\x93NUMPY\x01\x00"])
def test_other_files_and_cut_ones_are_named(tmp_path: Path, content: bytes):
    (tmp_path / "a.npz").write_bytes(content)
    np.savez_compressed(tmp_path / "b.npz", probabilities=np.random.default_rng(0).random((2, 3, 4, 5)))
    (tmp_path / "b.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:-50])
    for name in ("a.npz", "b.npz", "nowhere.npz"):
        with pytest.raises(UserError, match=f"{re.escape(name)} is not nnU-Net's probabilities, or is cut short"):
            probability_shape(tmp_path / name)


def test_probabilities_of_a_case_have_one_shape_and_the_classes_of_the_labels(tmp_path: Path):
    first, second = npz(tmp_path / "a.npz", (1, 1, 5, 5)), npz(tmp_path / "b.npz", (1, 5, 1, 5))
    with pytest.raises(UserError, match=r"a\.npz and .*b\.npz hold probabilities of shapes"):
        check_probabilities([first, second], 3)
    with pytest.raises(UserError, match=r"holds 5 classes, dataset\.json names 4"):
        check_probabilities([npz(tmp_path / "c.npz", (5, 1, 1, 5))], 4)
