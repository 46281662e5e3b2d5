"""nnU-Net's checkpoint files by name, and whether one was or can be written whole; torch is not needed for it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from nnunet_textguided.errors import UserError

FINAL, LATEST, BEST = "checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth"
RESUME_ORDER = (FINAL, LATEST, BEST)
"""In which nnU-Net looks for one to go on from (`--c`)."""


def is_whole(path: Path) -> bool:
    """Tell whether a checkpoint was written to its end: the directory of its zip archive comes last.

    Args:
        path: The file.
    """
    return zipfile.is_zipfile(path)


def check_whole(path: Path, then: str) -> None:
    """Refuse a checkpoint that is cut short.

    Args:
        path: A file that torch saved.
        then: What happens once it is deleted.

    Raises:
        UserError: It is cut short.
    """
    if path.is_file() and not is_whole(path):
        raise UserError(
            f"{path} is cut short: a disk was full or a machine failed while it was written. Delete it (rm {path}) and "
            f"run the same command again: {then}"
        )


def check_still_there(folder: Path, lost: str) -> None:
    """Refuse to write into a training's folder that is gone: made anew below an unmounted disk, it fills another one.

    Args:
        folder: Where to write.
        lost: What is not written, for the error's text.

    Raises:
        UserError: There is no such folder.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder} is gone, so no {lost} was written. Was its disk unmounted, or the folder moved? Put it back and "
            "go on with --c."
        )


def what_follows(path: Path) -> str:
    """Say what nnU-Net goes on from where one of its checkpoints is deleted.

    Args:
        path: The checkpoint, in a fold's folder.
    """
    later = RESUME_ORDER[RESUME_ORDER.index(path.name) + 1 :] if path.name in RESUME_ORDER else ()
    left = next((name for name in later if is_whole(path.with_name(name))), None)
    return f"with --c it goes on from {left}." if left else "it starts anew, as there is no other whole one."
