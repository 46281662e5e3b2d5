"""A label map given as JSON: what the codes of somebody's masks mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_conversion.label_maps.spine_labels import CANAL_NAME, spine_labels
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json
from nnunet_textguided.spine import SPINE_STRUCTURES

BACKGROUND, IGNORE = "background", "ignore"


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
        UserError: Not such a file, a code twice, or no structure at all.
    """
    content = load_json(path)
    if isinstance(content, dict) and isinstance(content.get("labels"), dict):
        content = content["labels"]  # a whole dataset.json
    names = _names_of_codes(content, path)
    structures = list(dict.fromkeys(name for _, name in sorted(names.items()) if name not in (BACKGROUND, IGNORE)))
    if not structures:
        raise UserError(f"{path}: expected at least one structure besides background, got {content}.")
    ignore = ignore or IGNORE in names.values()
    if set(structures) <= {*SPINE_STRUCTURES, CANAL_NAME}:
        labels = spine_labels(canal=CANAL_NAME in structures, ignore=ignore)
        missing = [name for name in SPINE_STRUCTURES if name not in structures]
    else:
        everything = [BACKGROUND, *structures, *([IGNORE] if ignore else [])]
        labels, missing = {name: code for code, name in enumerate(everything)}, []
    return GenericLabels(labels, {0: 0} | {code: labels[name] for code, name in names.items()}, missing)


def _names_of_codes(content: Any, path: Path) -> dict[int, str]:
    expected = f'{path}: expected {{"code": "name"}} or {{"name": code}} with codes 0 to 65535'
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{expected}, got {type(content).__name__}.")
    by_code = all(isinstance(value, str) for value in content.values())
    pairs = [
        (code, name)
        for name, codes in ([(v, [k]) for k, v in content.items()] if by_code else content.items())
        for code in (codes if isinstance(codes, list) else [codes])
    ]
    names: dict[int, str] = {}
    for given, name in pairs:
        code = _code(given)
        if code is None or not name.strip():
            raise UserError(f"{expected}, got {given!r} for {name!r}.")
        if names.setdefault(code, name.strip()) != name.strip():
            raise UserError(f"{path}: code {code} is both {names[code]!r} and {name!r}.")
    if names.get(0, BACKGROUND) != BACKGROUND:
        raise UserError(f"{path}: code 0 is background in nnU-Net, got {names[0]!r}. Give the structure another code.")
    return names


def _code(given: Any) -> int | None:
    """The whole number from 0 to 65535 that was given, None for anything else."""
    if isinstance(given, str) and given.strip().isdecimal():
        given = int(given)
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= 65535 else None
