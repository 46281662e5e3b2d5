"""nnU-Net's dataset.json and our block in it, checked once for all who read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json
from nnunet_textguided.safe_names import check_ending

BLOCK = "text_guidance"
LARGEST_CODE = 65535
_OF_BLOCK = {"terms": dict, "findings": dict, "missing": dict, "orientation": str}


def read_dataset_json(path: str | Path, needed: Sequence[str] = ("labels", "file_ending")) -> dict[str, Any]:
    """Read dataset.json.

    Args:
        path: The file.
        needed: Entries that have to be there.

    Returns:
        Its content.

    Raises:
        UserError: It is no JSON, or not nnU-Net's dataset.json; the text names file and entry.
    """
    content = load_json(path)
    for key in needed:
        if not isinstance(content, dict) or key not in content:
            raise UserError(f"{path} lacks {key!r}: it is not nnU-Net's dataset.json.")
    check_dataset_json(content, path)
    return content


def check_dataset_json(content: Mapping[str, Any], where: str | Path) -> None:
    """Check labels, file_ending, channels and our block, as far as they are there.

    Args:
        content: Of dataset.json.
        where: The file.

    Raises:
        UserError: One of them has another form.
    """
    if "labels" in content:
        check_labels(content["labels"], where)
    if "file_ending" in content:
        check_ending(content["file_ending"], where)
    for key in ("channel_names", "modality"):
        if content.get(key) is not None and not isinstance(content[key], Mapping):
            raise UserError(f"{where}: expected {key} as number -> name, got {str(content[key])[:80]!r}.")
    block_of(content, where)


def check_labels(labels: Any, where: str | Path = "dataset.json") -> dict[str, Any]:
    """Check the entry `labels`.

    Args:
        labels: Name -> code, or list of codes for a region.
        where: The file.

    Returns:
        The entry.

    Raises:
        UserError: It has another form.
    """
    if not isinstance(labels, Mapping):
        raise UserError(f"{where}: expected labels as name -> code, got {str(labels)[:80]!r}.")
    for name, value in labels.items():
        codes = value if isinstance(value, list | tuple) and value else [value]
        if not all(
            isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= LARGEST_CODE for code in codes
        ):
            raise UserError(
                f"{where}, labels, {name[:80]!r}: expected a code from 0 to {LARGEST_CODE} (a list of them for a "
                f"region), got {str(value)[:80]!r}."
            )
    return dict(labels)


def block_of(dataset_json: Mapping[str, Any], where: str | Path = "dataset.json") -> dict[str, Any]:
    """Return the block text_guidance, empty where there is none.

    Args:
        dataset_json: nnU-Net's dataset.json.
        where: The file.

    Raises:
        UserError: An entry of the block has another form.
    """
    block = dataset_json.get(BLOCK) or {}
    if not isinstance(block, Mapping):
        raise UserError(f"{where}, {BLOCK}: expected an object, got {str(block)[:80]!r}.")
    for key, kind in _OF_BLOCK.items():
        if block.get(key) is not None and not isinstance(block[key], kind):
            expected = "a text" if kind is str else "an object"
            raise UserError(f"{where}, {BLOCK}.{key}: expected {expected}, got {str(block[key])[:80]!r}.")
    for source, names in (block.get("missing") or {}).items():
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise UserError(
                f"{where}, {BLOCK}.missing, {source[:80]!r}: expected a list of names, got {str(names)[:80]!r}."
            )
    return {key: value for key, value in block.items() if value is not None}
