"""Tells whether a NIfTI file is whole.

SimpleITK says nothing when it reads one that is cut short (the rest becomes zeros), nor when it writes one to a full
disk, so a broken copy would quietly be predicted and a broken prediction quietly be kept.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from nnunet_textguided.errors import UserError

NIFTI1_HEADER, NIFTI2_HEADER = 348, 540
ENDINGS = (".nii", ".nii.gz")
DEFLATE_RATIO = 1032
"""No file grows by more when it is decompressed (https://zlib.net/zlib_tech.html)."""
_CHUNK = 1 << 16
_EXTENSIONS = 1 << 24


class IncompleteFileError(UserError):
    """A file ends before its header says it does."""


@dataclass(frozen=True)
class NiftiFields:
    """Numbers of a header as they stand there.

    Attributes:
        size: Voxels along each axis.
        spacing: mm along each axis; of time, seconds or nothing.
        bits: A voxel takes.
        offset: Bytes before the first voxel.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    bits: int
    offset: int

    @property
    def bytes(self) -> int:
        """Where the voxels start plus what they take."""
        return self.offset + math.prod(max(1, size) for size in self.size) * max(0, self.bits) // 8


def check_complete(path: str | os.PathLike[str]) -> None:
    """Check that a .nii or .nii.gz file holds all its voxels; files of other endings pass unread.

    A compressed file whose length field agrees with the header is not decompressed, so the check is free for whole
    files (one in 2^32 of those cut at a random byte would pass).

    Args:
        path: The image file.

    Raises:
        IncompleteFileError: It is cut short, or is no NIfTI file.
    """
    path = Path(path)
    if not path.name.endswith(ENDINGS):
        return
    try:
        expected = read_fields(path).bytes
        found, ended = _found_bytes(path, expected)
    except (OSError, EOFError, zlib.error, struct.error, ValueError, OverflowError) as error:
        raise IncompleteFileError(f"{path} is not a readable image: not NIfTI, or cut short ({error}).") from error
    if found < expected or not ended:
        raise IncompleteFileError(
            f"{path} is not a readable image: it is cut short, {found} of {expected} bytes are there. Was it copied in "
            "full, and was there space on the disk?"
        )


def read_fields(path: Path) -> NiftiFields:
    """Read what a header says of size and spacing.

    Offsets: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h and .../nifti2.h

    Args:
        path: A .nii or .nii.gz file.

    Raises:
        OSError: The header does not begin as NIfTI's does.
        ValueError: A number of it cannot be.
    """
    with _open(path) as file:
        header = file.read(NIFTI2_HEADER)
    order = next((o for o in "<>" if struct.unpack_from(f"{o}i", header)[0] in (NIFTI1_HEADER, NIFTI2_HEADER)), None)
    if order is None:
        raise OSError("the header does not begin as NIfTI's does")
    if struct.unpack_from(f"{order}i", header)[0] == NIFTI1_HEADER:
        sizes, spacing = (struct.unpack_from(f"{order}{kind}", header, at) for kind, at in (("8h", 40), ("8f", 76)))
        bits, offset = struct.unpack_from(f"{order}h", header, 72)[0], struct.unpack_from(f"{order}f", header, 108)[0]
    else:
        sizes, spacing = (struct.unpack_from(f"{order}{kind}", header, at) for kind, at in (("8q", 16), ("8d", 104)))
        bits, offset = struct.unpack_from(f"{order}h", header, 14)[0], struct.unpack_from(f"{order}q", header, 168)[0]
    used = max(0, min(7, sizes[0]))
    return NiftiFields(sizes[1 : 1 + used], spacing[1 : 1 + used], bits, int(offset))


def _found_bytes(path: Path, expected: int) -> tuple[int, bool]:
    """Bytes there are, uncompressed, and whether the file ends as its format wants."""
    if not _is_gzip(path):
        return path.stat().st_size, True
    with open(path, "rb") as file:
        file.seek(-4, os.SEEK_END)
        length = struct.unpack("<I", file.read(4))[0]  # ISIZE, the last field of a gzip file (RFC 1952), modulo 2^32
    if expected > path.stat().st_size * DEFLATE_RATIO:
        return path.stat().st_size, False
    if length == expected % 2**32:
        return expected, True
    found = 0
    with gzip.open(path) as file:
        try:
            while chunk := file.read1(_CHUNK):
                found += len(chunk)
                if found > expected + _EXTENSIONS:
                    break  # all voxels are there; what follows may be without end
        except EOFError:
            return found, False  # the compressed stream breaks off, be it only in its checksum
    return found, True


def _open(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path) if _is_gzip(path) else open(path, "rb")


def _is_gzip(path: Path) -> bool:
    """By content: SimpleITK, too, reads a file named .nii.gz that is not compressed."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"
