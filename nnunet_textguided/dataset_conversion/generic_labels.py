"""A label map given as JSON: what the codes of somebody's masks mean."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnunet_textguided.dataset_conversion.label_maps.from_json import read_label_map
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import (
    BACKGROUND_NAME,
    CANAL_NAME,
    IGNORE_NAME,
    spine_labels,
)
from nnunet_textguided.errors import UserError
from nnunet_textguided.spine import SPINE_STRUCTURES


@dataclass(frozen=True)
class GenericLabels:
    """What masks hold, and what they become.

    Attributes:
        labels: nnU-Net's `labels` of the converted data set.
        table: Source code to target code.
        missing: Structures of the shared spine label set that the masks do not hold.
    """

    labels: dict[str, int]
    table: dict[int, int]
    missing: list[str]


def read_labels(path: Path, ignore: bool) -> GenericLabels:
    """Read a label map: `{"1": "L5", "2": "L4"}`, or as nnU-Net writes it, `{"L5": 1, "L4": 2}` or `{"L": [1, 2]}`.

    Where every name is one of the shared spine label set (or `canal`), the data set gets that set, with the codes all
    spine data sets have; else the names get consecutive codes in the order of the source's. Several codes may become
    one name; `background` and `ignore` (nnU-Net's label of what is not annotated) may be among them.

    Args:
        path: JSON file.
        ignore: Have an ignore label even if no code becomes it.

    Raises:
        UserError: Not such a file, or no structure at all.
    """
    source = read_label_map(path)
    structures = list(dict.fromkeys(name for _, name in sorted(source.codes.items()) if name != IGNORE_NAME))
    if not structures:
        raise UserError(f"{path}: expected at least one structure besides background.")
    ignore = ignore or IGNORE_NAME in source.codes.values()
    if set(structures) <= {*SPINE_STRUCTURES, CANAL_NAME}:
        labels = spine_labels(canal=CANAL_NAME in structures, ignore=ignore)
        missing = [name for name in SPINE_STRUCTURES if name not in structures]
    else:
        everything = [BACKGROUND_NAME, *structures, *([IGNORE_NAME] if ignore else [])]
        labels, missing = {name: code for code, name in enumerate(everything)}, []
    table = dict.fromkeys((0, *source.background), 0) | {code: labels[name] for code, name in source.codes.items()}
    return GenericLabels(labels, table, missing)
