"""nnU-Net's three folders and the variable that leads it to our trainers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from nnunet_textguided.cli.doctor_checks.check import Check
from nnunet_textguided.ext_path import VARIABLE, ext_dir, lists_ext_dir
from nnunet_textguided.nnunet_paths import PURPOSES

GIB = 2**30
LITTLE, NONE = 20 * GIB, GIB // 2  # a preprocessed data set with a model is tens of GiB; a checkpoint up to 0.5 GiB


def check_folders() -> list[Check]:
    """Check the three folders and `nnUNet_extTrainer`."""
    return [*(check_folder(name) for name in PURPOSES), check_ext_variable()]


def check_folder(variable: str) -> Check:
    """Check that a path variable is set, its folder exists and can be written to, and has room.

    Args:
        variable: nnU-Net's name of it.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        mend = f"export {variable}=/path/to/{variable}    # {PURPOSES[variable]}"
        return Check(variable, "FAIL", "is not set", mend)
    folder = Path(value)
    if folder.exists() and not folder.is_dir():
        return Check(variable, "FAIL", f"{folder} is a file", f"Point {variable} at a folder.")
    if not folder.exists():
        return Check(variable, "FAIL", f"{folder} does not exist", f'mkdir -p "{folder}"')
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check(variable, "FAIL", f"{folder} cannot be written to", f'chmod u+rwx "{folder}", or choose another.')
    return _room(variable, folder, shutil.disk_usage(folder).free)


def _room(variable: str, folder: Path, free: int) -> Check:
    found = f"{folder}, {free / GIB:.1f} GiB free"
    if free < NONE:
        return Check(variable, "FAIL", found, f"Free some space there or point {variable} at another disk.")
    if free < LITTLE:
        return Check(variable, "WARN", found, f"Large data sets need more; {variable} may point at another disk.")
    return Check(variable, "OK", found)


def check_ext_variable() -> Check:
    """Check that `nnUNet_extTrainer` names our folder, and only folders that exist."""
    value = os.environ.get(VARIABLE)
    mend = 'eval "$(nnunet_textguided env)"    # nnunet_textguided train and predict work without'
    if os.pathsep in str(ext_dir()):
        mend = f"Install the package into a folder without '{os.pathsep}' in its path."
        return Check(VARIABLE, "FAIL", f"our folder {ext_dir()} holds the separator '{os.pathsep}'", mend)
    if not value:
        return Check(VARIABLE, "FAIL", "is not set: nnUNetv2_train and nnUNetv2_predict do not find our trainers", mend)
    if not lists_ext_dir(value):
        return Check(VARIABLE, "FAIL", f"{value} does not hold our folder {ext_dir()}", mend)
    gone = [entry for entry in value.split(os.pathsep) if entry.strip() and not Path(entry).is_dir()]
    if gone:
        return Check(VARIABLE, "WARN", f"{value}; not a folder: {', '.join(gone)}", "Take what is gone out of it.")
    return Check(VARIABLE, "OK", value)
