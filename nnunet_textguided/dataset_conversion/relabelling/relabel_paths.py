"""Which mask files `relabel` reads and where each goes; nothing leaves the folders that were named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnunet_textguided.errors import UserError

MASK_ENDINGS = (".nii.gz", ".nii", ".mha", ".nrrd")
RECORD_FILE = "relabel.json"


@dataclass(frozen=True)
class MaskFiles:
    """The files of one run.

    Attributes:
        folder: Where the masks lie.
        targets: Mask to the file it becomes.
        problems: File name to why it is not read.
        record: The file that says what was done.
    """

    folder: Path
    targets: dict[Path, Path]
    problems: dict[str, str]
    record: Path


def plan_files(source: Path, target: Path, overwrite: bool) -> MaskFiles:
    """Pair a mask, or every mask directly in a folder, with the file it becomes.

    Args:
        source: A mask file or a folder of masks.
        target: A mask file or a folder, as the source is.
        overwrite: Whether files that are there already may be replaced.

    Raises:
        UserError: Nothing to read, source and target overlap or are of different kinds, or files are there already.
    """
    if source.is_dir():
        files = _plan_folder(source, target)
    elif source.is_file():
        files = _plan_one(source, target)
    else:
        raise UserError(f"{source}: expected a mask or a folder of masks, found nothing there.")
    there = [path for path in (*files.targets.values(), files.record) if path.exists()]
    if there and not overwrite:
        raise UserError(
            f"{there[0]} is there already ({len(there)} such files). Add --overwrite to replace them, or choose "
            "another place."
        )
    return files


def mask_ending(path: Path) -> str | None:
    """Return which of MASK_ENDINGS a file has, if any.

    Args:
        path: A file.
    """
    return next((ending for ending in MASK_ENDINGS if path.name.lower().endswith(ending)), None)


def _stays_in(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # links that lead in a circle, which Python reports either way
        return False


def _plan_one(source: Path, target: Path) -> MaskFiles:
    for path in (source, target):
        if mask_ending(path) is None:
            raise UserError(f"{path}: expected a file that ends in one of {', '.join(MASK_ENDINGS)}.")
    if target.is_dir():
        raise UserError(f"{target} is a folder, while {source} is one mask. Name the file to write.")
    if source.resolve() == target.resolve():
        raise UserError(f"{target} is the mask that is read. Name another file to write.")
    stem = target.name.removesuffix(mask_ending(target) or "")
    return MaskFiles(source.parent, {source: target}, {}, target.with_name(f"{stem}_{RECORD_FILE}"))


def _plan_folder(source: Path, target: Path) -> MaskFiles:
    inside = source.resolve()
    if target.resolve() == inside or inside in target.resolve().parents:
        raise UserError(f"{target} lies in {source}, the folder that is read. Choose a folder outside it.")
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file, while {source} is a folder. Name a folder to write to.")
    targets, problems = {}, {}
    for path in sorted(source.iterdir()):
        if path.name.startswith(".") or mask_ending(path) is None or path.is_dir():
            continue
        if _stays_in(path, inside):
            targets[path] = target / path.name
        else:
            problems[path.name] = f"is a link that leads out of {source}; it is not followed. Copy the mask there"
    if not targets and not problems:
        raise UserError(f"{source}: expected masks ({', '.join(MASK_ENDINGS)}) directly in this folder, found none.")
    return MaskFiles(source, targets, problems, target / RECORD_FILE)
