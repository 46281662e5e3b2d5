"""Label files with names in order, each replaced as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from nnunet_textguided.dataset_json import LARGEST_CODE, read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import remove_leftovers
from nnunet_textguided.image_headers import check_image
from nnunet_textguided.inference.checked_io import CheckedIO
from nnunet_textguided.inference.name_order.column import Column
from nnunet_textguided.inference.name_order.rename import names_in_order


def order_files(pairs: Iterable[tuple[Path, Path]], column: Column, reader_writer: CheckedIO) -> dict[str, int]:
    """Write label files with names in order.

    Args:
        pairs: Label file, and the file to write, which may be the same.
        column: What the codes mean.
        reader_writer: Reads and writes label files in their own geometry.

    Returns:
        Name of the file -> number of voxels renamed.

    Raises:
        UserError: A file is cut short, holds something else than label codes, or cannot be written to its end.
    """
    moved = {}
    for source, target in pairs:
        values, properties = reader_writer.read_seg(str(source))
        labels = _codes(values[0], source)
        ordered = names_in_order(labels, properties["spacing"], column)
        moved[source.name] = int(np.count_nonzero(ordered != labels))
        reader_writer.write_seg(ordered, str(target), properties)
    return moved


def _codes(values: np.ndarray, file: Path) -> np.ndarray:
    """Whole numbers out of what nnU-Net's reader returns as floats."""
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > LARGEST_CODE or (values % 1).any():
        raise UserError(f"Expected label codes from 0 to {LARGEST_CODE} in {file}, found other values.")
    return values.astype(np.uint16 if values.max() > 255 else np.uint8)


def order_folder(source: Path, target: Path, dataset_json: Path, cases: Sequence[str] | None = None) -> dict[str, int]:
    """Write the label files of a folder with names in order.

    Args:
        source: Folder of label files, of any network.
        target: Made if missing; may be the same.
        dataset_json: Says what the codes mean.
        cases: Names without file ending; every file of the folder when None.

    Returns:
        Name of the file -> number of voxels renamed.

    Raises:
        UserError: There are no files, a file cannot be read, or the labels are no column.
    """
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json

    content = read_dataset_json(dataset_json)
    column = Column.of_labels(content["labels"])
    ending = content["file_ending"]
    if cases is None:
        files = sorted(file for file in source.glob(f"*{ending}") if not file.name.startswith("."))
    else:
        files = [source / f"{case}{ending}" for case in cases]
    if not files:
        raise UserError(f"Expected label files *{ending} in {source}, found none.")
    check_image(files[0])  # which nnU-Net reads to choose a reader
    reader_class = determine_reader_writer_from_dataset_json(content, str(files[0]), verbose=False)
    remove_leftovers(target)
    return order_files([(file, target / file.name) for file in files], column, CheckedIO(reader_class))
