"""Where a converted data set goes in nnUNet_raw, and when it may go there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_conversion.base.manifest import ACCEPTED, MANIFEST_FILE, Manifest
from nnunet_textguided.dataset_conversion.base.splits import SPLITS_FILE
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import remove_leftovers
from nnunet_textguided.nnunet_paths import PURPOSES, missing_paths, require_paths

IMAGES, LABELS = "imagesTr", "labelsTr"
FILE_ENDING = ".nii.gz"


def dataset_folder(dataset_id: int, name: str) -> Path:
    """Return nnUNet_raw/DatasetXXX_Name after checking that the id is free for this name.

    Args:
        dataset_id: 1 to 999.
        name: Letters, digits, `_` and `-`.

    Raises:
        UserError: nnUNet_raw is not set, a bad id or name, or the id belongs to a data set of another name.
    """
    if not 1 <= dataset_id <= 999:
        raise UserError(f"Expected a dataset id from 1 to 999, got {dataset_id}.")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise UserError(f"Expected a dataset name of letters, digits, '_' and '-', got '{name}'.")
    raw = require_paths("nnUNet_raw")["nnUNet_raw"]
    folder_name = f"Dataset{dataset_id:03d}_{name}"
    for root in _known_roots():
        same_id = sorted(path for path in root.glob(f"Dataset{dataset_id:03d}*") if path.is_dir())
        others = [path for path in same_id if path.name != folder_name]
        if others:
            raise UserError(
                f"Dataset id {dataset_id} is already taken: {others[0]}. nnU-Net needs one name for an id; choose "
                f"another id (-d), or the same name (--name)."
            )
    return raw / folder_name


def open_manifest(folder: Path, fresh: Manifest, overwrite: bool) -> Manifest:
    """Start a conversion in a folder, or continue the one that was interrupted or met problems there.

    Args:
        folder: nnUNet_raw/DatasetXXX_Name; made if missing.
        fresh: Manifest of the conversion that is asked for.
        overwrite: Remove what an earlier conversion wrote.

    Returns:
        `fresh`, with the case records of the earlier run where there was one.

    Raises:
        UserError: The folder holds a finished data set, one made with other options, one not made by a converter, or
            masks that the user corrected and `overwrite` would lose.
    """
    existing = Manifest.load(folder)
    accepted = [case for case, record in (existing.cases if existing else {}).items() if ACCEPTED in record]
    if accepted and overwrite:
        raise UserError(
            f"{folder} holds {len(accepted)} label maps that were accepted with `complete`, such as {accepted[0]}: "
            "--overwrite would lose them. Convert under another id (-d) or name (--name), or move the folder away."
        )
    if existing is None and folder.exists() and any(folder.iterdir()):
        raise UserError(
            f"{folder} exists and was not written by this command (no {MANIFEST_FILE}). It is left alone, also with "
            "--overwrite: move or remove it, or choose another id (-d) or name (--name)."
        )
    if existing is not None and not overwrite:
        _check_continues(folder, existing, fresh)
        fresh.cases = existing.cases
    for sub in (IMAGES, LABELS):
        _make_folder(folder / sub)
    for name in ("dataset.json", SPLITS_FILE):  # first, so that no half data set looks whole
        (folder / name).unlink(missing_ok=True)
    _remove_unlisted(folder, fresh)
    remove_leftovers(folder)
    fresh.save(folder)
    return fresh


def _check_continues(folder: Path, existing: Manifest, fresh: Manifest) -> None:
    """Refuse to mix two conversions or to touch a finished one."""
    before, now = _identity(existing), _identity(fresh)
    changed = [f"{key} was {before.get(key)}, now {now.get(key)}" for key in now if before.get(key) != now.get(key)]
    if changed:
        raise UserError(
            f"{folder} was begun with other options: {'; '.join(changed)}. Use those again, add --overwrite to start "
            "anew, or choose another id (-d) or name (--name)."
        )
    if existing.complete:
        raise UserError(
            f"{folder} is already there and complete ({len(existing.cases)} cases). Add --overwrite to write it again."
        )


def _identity(manifest: Manifest) -> dict[str, Any]:
    return {"converter": manifest.converter, **manifest.options}


def remove_case(folder: Path, case: str) -> None:
    """Remove the files of one case, as far as they are there.

    Args:
        folder: nnUNet_raw/DatasetXXX_Name.
        case: nnU-Net's case identifier.
    """
    (folder / LABELS / f"{case}{FILE_ENDING}").unlink(missing_ok=True)
    for path in (folder / IMAGES).glob(f"{case}_????{FILE_ENDING}"):
        path.unlink()


def _remove_unlisted(folder: Path, manifest: Manifest) -> None:
    """Remove images and label maps that no case in the manifest has: nnU-Net would take them for cases.

    They come from a conversion that is replaced or from one that was killed while writing.
    """
    listed = {folder / name for record in manifest.cases.values() for name in record["files"]}
    for sub in (IMAGES, LABELS):
        for path in (folder / sub).glob(f"*{FILE_ENDING}"):
            if path not in listed:
                path.unlink()


def _known_roots() -> list[Path]:
    """Return those of nnU-Net's three folders that are set: an id must be unique over all of them."""
    return [require_paths(name)[name] for name in PURPOSES if not missing_paths(name)]


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Could not make {folder}: {error.strerror}. Check permissions and free space.") from error
