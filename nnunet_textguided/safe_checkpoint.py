"""nnU-Net's checkpoints, opened without running what is in them.

nnU-Net loads its checkpoints with `torch.load(weights_only=False)`, which calls any function a file names. What is
loaded through us is read here first, with torch's allow-list and the few numpy classes of nnU-Net's log beside it
(found by opening checkpoints of nnU-Net 2.8.1: a logged score is a numpy number). The check reads the pickle alone;
tensors stay on disk.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError

TRUST_VARIABLE = "nnUNet_textguided_trust"
"""Set to 1 by --trust, so that trainers and jobs in other processes know: nnU-Net fixes the arguments they get."""
_NUMBERS = ("float64", "float32", "int64", "bool")
_SAFE_TORCH = (2, 6)
"""Before, weights_only=True could be got around (CVE-2025-32434)."""


class UntrustedFileError(UserError):
    """A file would run code when it is opened the way nnU-Net opens it."""


def is_trusted(trust: bool = False) -> bool:
    """Tell whether files may run code: the caller says so, or --trust was given to the command that started this.

    Args:
        trust: What the caller says.
    """
    return trust or os.environ.get(TRUST_VARIABLE) == "1"


def trust_everything() -> None:
    """Trust every file in this process and in those it starts."""
    os.environ[TRUST_VARIABLE] = "1"


def open_checkpoint(path: str | os.PathLike[str], trust: bool = False) -> dict[str, Any]:
    """Open a checkpoint of nnU-Net; tensors stay on disk until they are looked at.

    Args:
        path: The file.
        trust: Run what the file wants run.

    Returns:
        Its content.

    Raises:
        UntrustedFileError: It holds more than numbers and texts; the text says what.
        UserError: It is cut short, no checkpoint of nnU-Net, or torch is too old to check it.
    """
    path = Path(path)
    try:
        content = _load(path, is_trusted(trust))
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"Expected a checkpoint at {path}, found no file.") from error
    except Exception as error:  # whatever a damaged or hostile file makes torch say, it was not opened
        unsafe = _unsafe_names(path) if isinstance(error, pickle.UnpicklingError) else []
        if unsafe:
            raise UntrustedFileError(refusal(path, unsafe)) from error
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"{path} is not a checkpoint of nnU-Net, or is cut short: {first[0][:300]}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a checkpoint of nnU-Net: it holds a {type(content).__name__}.")
    return content


def check_checkpoints(paths: Iterable[str | os.PathLike[str]], trust: bool = False) -> None:
    """Check files before nnU-Net opens them in its own way.

    Args:
        paths: Checkpoints.
        trust: Check nothing.

    Raises:
        UserError: As `open_checkpoint`.
    """
    if is_trusted(trust):
        return
    for path in paths:
        open_checkpoint(path)


def refusal(path: Path, names: Iterable[str]) -> str:
    """Say why a file is not opened and what to do.

    Args:
        path: The file.
        names: What it wanted to load.
    """
    return (
        f"{path} was not opened: it wants to load {', '.join(sorted(names))}, which is no part of what nnU-Net writes "
        "there and may run any program on this computer. If you know who made the file and how, say --trust on the "
        "command line or trust=True in Python; else get it from a source you trust."
    )


def _load(path: Path, trusted: bool) -> Any:
    import torch

    if trusted:
        return torch.load(path, map_location="cpu", mmap=True, weights_only=False)
    _check_torch(torch.__version__, path)
    with torch.serialization.safe_globals(_allowed()):
        return torch.load(path, map_location="cpu", mmap=True, weights_only=True)


def _check_torch(version: str, path: Path) -> None:
    numbers = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    if numbers < _SAFE_TORCH:
        raise UserError(
            f"{path} was not opened: torch {version} cannot read a checkpoint without risk (CVE-2025-32434). Install "
            "torch 2.6 or newer; or, if you trust the file, say --trust (trust=True in Python)."
        )


def _allowed() -> list[Any]:
    """What nnU-Net's checkpoints hold beside tensors: numpy's numbers, under the names of numpy 1 and 2."""
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    names = [f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")]
    return [np.dtype, *((scalar, name) for name in names), *(type(np.dtype(number)) for number in _NUMBERS)]


def _unsafe_names(path: Path) -> list[str]:
    """Names a checkpoint wants loaded that are not allowed; torch reads them off the pickle without running it."""
    import torch

    known = {"numpy.dtype", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"}
    try:
        names = set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # a pickle too odd to be read this way either; the first error says enough
        return []
    return sorted(names - known)
