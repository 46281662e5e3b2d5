"""Case identifiers from names that users chose, and files that stay inside their folder."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from nnunet_textguided.dataset_conversion.base.problems import CaseError


def case_name(text: str) -> str:
    """Turn a name into one that nnU-Net, file systems and tables take: ASCII letters, digits, `_` and `-`.

    Args:
        text: Any name, such as the stem of a file.

    Raises:
        CaseError: Nothing is left of it.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", plain).strip("_-")
    if not name:
        raise CaseError(f"{text!r}: expected letters or digits in the name; rename it")
    return name


def is_inside(path: Path, folder: Path) -> bool:
    """Tell whether a file, links followed, lies in a folder.

    Args:
        path: The file.
        folder: The folder.
    """
    return path.resolve().is_relative_to(folder.resolve())
