"""Names that others chose and that become file names: one part of a path, never a way out of a folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError

MAX_BYTES = 200
"""File systems take 255 bytes a name; channel number, ending and the mark of a half-written file need the rest."""
_SEPARATORS = frozenset('/\\:*?"<>|')
"""Windows takes none of them; the first two lead elsewhere."""
_ENDING = re.compile(r"\.[A-Za-z0-9][A-Za-z0-9._-]{0,18}")


def check_name(name: Any, what: str) -> str:
    """Refuse a name that cannot be a file name everywhere, or would lead out of its folder.

    Args:
        name: Such as a case identifier.
        what: What it is and where it stands, for the error's text.

    Returns:
        The name.

    Raises:
        UserError: It is no text, empty, too long, hidden (a dot in front), or holds a separator or control character.
    """
    if not isinstance(name, str):
        raise UserError(f"{what}: expected a name, got {str(name)[:80]!r}.")
    if not name or name[0] == "." or name != name.strip():
        raise UserError(f"{what}: expected a name that begins and ends with a letter or digit, got {name[:80]!r}.")
    return _check_letters(name, what)


def check_ending(ending: Any, where: str | Path) -> str:
    """Refuse a file ending that would lead out of a folder or match other files.

    Args:
        ending: Entry `file_ending` of dataset.json.
        where: The file it stands in.

    Returns:
        The ending.

    Raises:
        UserError: It is not a dot and a few letters.
    """
    if not isinstance(ending, str) or not _ENDING.fullmatch(ending) or ".." in ending:
        raise UserError(f"{where}: expected file_ending such as '.nii.gz', got {str(ending)[:80]!r}.")
    return ending


def _check_letters(name: str, what: str) -> str:
    bad = sorted(letter for letter in set(name) if letter in _SEPARATORS or not letter.isprintable())
    if bad:
        raise UserError(f"{what}: {name[:80]!r} holds {bad[0]!r}, which no file name may hold. Rename it.")
    if len(name.encode(errors="replace")) > MAX_BYTES:
        raise UserError(f"{what}: {name[:40]!r}... is longer than {MAX_BYTES} bytes. Shorten it.")
    return name
