"""How much of a file is read whole: what is larger or nested deeper is refused before it is parsed."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from nnunet_textguided.errors import UserError

LIMIT_VARIABLE = "nnUNet_textguided_max_mb"
"""Sets another limit, in MB, for every file that is read whole."""
JSON_MB, TABLE_MB = 64, 256
"""JSON takes about ten times its size when it is parsed; tables about as much."""
MAX_DEPTH = 100
"""Lists and objects within each other; what this package and nnU-Net write stays below 10."""
_MARKS = re.compile(r'["\[\]{}]')


def limit_bytes(default_mb: int) -> int:
    """Return the limit that holds.

    Args:
        default_mb: Where the variable is not set.

    Raises:
        UserError: The variable is set to something that is no positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return default_mb * 1_000_000
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not 0 < limit < math.inf:
        raise UserError(f"Expected a number of MB above 0 in the variable {LIMIT_VARIABLE}, got {text!r}.")
    return int(limit * 1_000_000)


def check_size(path: Path, default_mb: int) -> None:
    """Refuse a file that is too large to be read whole.

    Args:
        path: The file.
        default_mb: Where the variable is not set.

    Raises:
        UserError: It is too large; the text says the limit and how to raise it.
        OSError: It is not there.
    """
    size, limit = path.stat().st_size, limit_bytes(default_mb)
    if size > limit:
        raise _too_large(path, f"{size / 1e6:.0f} MB", limit)


def read_limited(path: str | os.PathLike[str], default_mb: int) -> bytes:
    """Read a file whole, if it is not too large; a device or pipe without end is given up, too.

    Args:
        path: The file.
        default_mb: Where the variable is not set.

    Raises:
        UserError: It is too large.
        OSError: It cannot be read.
    """
    path = Path(path)
    check_size(path, default_mb)
    limit = limit_bytes(default_mb)
    with path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise _too_large(path, "more", limit)
    return content


def check_depth(text: str, where: str | os.PathLike[str]) -> None:
    """Refuse JSON whose lists and objects lie too deep within each other; counted without parsing.

    Args:
        text: JSON.
        where: File, and line where that helps.

    Raises:
        UserError: It is nested deeper than `MAX_DEPTH`.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth, quoted = 0, False
    for mark in _MARKS.finditer(text.replace("\\\\", "").replace('\\"', "")):
        if mark[0] == '"':
            quoted = not quoted
        elif not quoted:
            depth += 1 if mark[0] in "[{" else -1
            if depth > MAX_DEPTH:
                raise UserError(
                    f"{where}: lists and objects lie more than {MAX_DEPTH} deep within each other, which no file that "
                    "is read here needs. It was not parsed."
                )


def _too_large(path: Path, size: str, limit: int) -> UserError:
    return UserError(
        f"{path} holds {size}, at most {limit / 1e6:g} MB are read whole. If it is meant to be that large, set the "
        f"variable {LIMIT_VARIABLE} to the MB to allow (memory needed: about ten times as much)."
    )
