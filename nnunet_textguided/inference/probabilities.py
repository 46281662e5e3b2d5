"""Probabilities that nnU-Net writes (.npz), looked at before they are unpacked."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.image_headers import check_plausible

ENTRY = "probabilities.npy"


def check_probabilities(files: Sequence[Path], most_classes: int) -> None:
    """Refuse probabilities of one case that cannot be averaged, or of more voxels and classes than there can be.

    Args:
        files: One a model.
        most_classes: No model of these labels has more.

    Raises:
        UserError: One is cut short or something else, or announces too many voxels or classes, or shapes differ.
    """
    shapes = {file: probability_shape(file) for file in files}
    for file, shape in shapes.items():
        if not 1 <= shape[0] <= most_classes:
            raise UserError(f"{file} holds {shape[0]} classes, dataset.json names {most_classes}.")
        if shape != shapes[files[0]]:
            raise UserError(
                f"{files[0]} and {file} hold probabilities of shapes {shapes[files[0]]} and {shape} (classes, z, y, "
                "x). Predict the same images with models of the same labels."
            )


def probability_shape(path: Path) -> tuple[int, ...]:
    """Read (classes, Z, Y, X) without unpacking the numbers.

    Args:
        path: A .npz that nnU-Net wrote.

    Raises:
        UserError: It is cut short, something else, or announces more voxels than are read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            with archive.open(ENTRY) as stream:
                version = np.lib.format.read_magic(stream)
                header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                shape, _, kind = header[version](stream)
                there = archive.getinfo(ENTRY).file_size - stream.tell()
    except Exception as error:  # whatever a damaged or hostile file makes zipfile and numpy say
        raise UserError(f"{path} is not nnU-Net's probabilities, or is cut short: {error}. Predict again.") from error
    if names != [ENTRY] or kind.kind != "f" or len(shape) != 4:
        raise UserError(
            f"{path}: expected one array of floating-point numbers (classes, z, y, x) named probabilities, as nnU-Net "
            f"writes it; got {', '.join(names[:5])[:80]} of type {kind} and shape {shape}."
        )
    check_plausible(shape[1:], (1.0, 1.0, 1.0), path)
    if there != math.prod(shape) * kind.itemsize:
        raise UserError(f"{path} unpacks to {there} bytes, its header says an array of {shape} {kind}. Predict again.")
    return shape
