"""Where nnU-Net finds our trainers: the value of the environment variable `nnUNet_extTrainer`.

nnU-Net 2.8 looks for a trainer in its own package first and then in every folder this variable lists, separated as in
PATH. Nothing here imports nnU-Net, so `nnunet_textguided env` answers at once.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "nnUNet_extTrainer"


def ext_dir() -> Path:
    """Return the folder with the one module that re-exports our trainers."""
    return Path(__file__).resolve().parent / "ext"


def lists_ext_dir(value: str | None) -> bool:
    """Tell whether a value of the variable already names our folder, however the path is spelled.

    Args:
        value: What the variable holds, or None where it is not set.
    """
    entries = [entry for entry in (value or "").split(os.pathsep) if entry.strip()]
    return any(os.path.realpath(entry) == os.path.realpath(ext_dir()) for entry in entries)


def with_ext_dir(current: str | None) -> str:
    """Return the variable's value with our folder in it, after the folders that are there already.

    Args:
        current: What the variable holds, or None where it is not set.
    """
    if not current or not current.strip(os.pathsep + " "):
        return str(ext_dir())
    if lists_ext_dir(current):
        return current
    return current.rstrip(os.pathsep) + os.pathsep + str(ext_dir())


def activate() -> None:
    """Set the variable for this process and the ones it starts; nnU-Net reads it at each lookup, not at import."""
    os.environ[VARIABLE] = with_ext_dir(os.environ.get(VARIABLE))
