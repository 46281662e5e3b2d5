"""Label files are whole or not there, whichever of nnU-Net's writers writes them.

SimpleITK says nothing when the disk is full while it writes NIfTI or GIPL, nor does Pillow for BMP; the others raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.faults import explanation
from nnunet_textguided.files import atomic_files, is_meant
from nnunet_textguided.image_headers import read_image_header
from nnunet_textguided.nifti import check_complete


@contextmanager
def whole_labels(path: Path) -> Iterator[Path]:
    """Yield a hidden folder whose files take their places when the block ends and the label files in it are whole.

    Args:
        path: The label file, or *ENDING for all files that end so.

    Raises:
        UserError: One cannot be written to its end; the old files stay.
    """
    with atomic_files(path) as hidden:
        try:
            yield hidden
            for file in hidden.iterdir():
                if is_meant(path, file):
                    _check_whole(file)
        except (RuntimeError, UserError) as error:
            if explanation(error) is not None:  # memory, or a worker that died
                raise
            raise UserError(
                f"Could not write {path} in full: {error} Check free space and permissions of the folder, then run "
                "the same command again (predict: with --continue_prediction)."
            ) from error


def write_labels(
    write: Callable[[np.ndarray, str, dict[str, Any]], None], labels: np.ndarray, path: str, properties: dict[str, Any]
) -> None:
    """Write one label file, and what its writer puts beside it (a .tif's spacing).

    Args:
        write: `write_seg` of one of nnU-Net's readers.
        labels: (Z, Y, X).
        path: Where to.
        properties: Of nnU-Net's for the image.

    Raises:
        UserError: The file cannot be written to its end; the old one stays.
    """
    with whole_labels(Path(path)) as hidden:
        write(labels, str(hidden / Path(path).name), properties)


def _check_whole(file: Path) -> None:
    check_complete(file)
    if file.name.endswith(".gipl"):
        read_image_header(file)
    elif file.name.endswith(".bmp"):
        import PIL.Image

        with PIL.Image.open(file) as picture:
            picture.load()
