"""nnU-Net's splits_final.json, checked once for all who read it."""

from __future__ import annotations

from pathlib import Path

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json
from nnunet_textguided.safe_names import check_name

SIDES = ("train", "val")


def read_splits(path: str | Path) -> list[dict[str, list[str]]]:
    """Read splits.

    Args:
        path: A file in the form of nnU-Net's splits_final.json.

    Returns:
        For each fold the cases under train and val; other entries are left out.

    Raises:
        UserError: Another form, or a case that cannot be the name of a file.
    """
    content = load_json(path)
    if not isinstance(content, list) or not content or not all(_is_fold(entry) for entry in content):
        raise UserError(f'{path}: expected a list of {{"train": [cases], "val": [cases]}}, one a fold.')
    for fold, entry in enumerate(content):
        for side in SIDES:
            for case in entry[side]:
                check_name(case, f"{path}, fold {fold}, {side}")
    return [{side: entry[side] for side in SIDES} for entry in content]


def _is_fold(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(side), list) and all(isinstance(case, str) for case in entry[side]) for side in SIDES
    )
