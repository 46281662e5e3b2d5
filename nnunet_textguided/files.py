"""Whole files or none: everything is written under a temporary name and then renamed."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.limits import JSON_MB, check_depth, read_limited

_CHUNK_BYTES = 1 << 20
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that replaces it when the block ends without an error.

    The temporary name keeps the suffixes, because writers such as SimpleITK choose the format by them.

    Args:
        path: The file to write; its folder is made if missing.

    Raises:
        UserError: The folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"Could not write {path}: {error.strerror or error}. Nothing was changed there. "
            "Check free space and permissions of the folder, then run the same command again."
        ) from error
    finally:
        with suppress(NotADirectoryError):  # the folder is a file, as was said above
            temporary.unlink(missing_ok=True)


def save_json_atomic(content: Any, path: str | os.PathLike[str]) -> None:
    """Write JSON (indent 2, key order kept) in one piece.

    Args:
        content: Anything `json` can write.
        path: The file to write.
    """
    text = json.dumps(content, indent=2)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def without_nan(value: Any) -> Any:
    """Make a value ready for JSON, which knows no NaN and no infinity: what is not finite becomes null.

    Args:
        value: Dictionaries, lists and tuples of numbers (also numpy's), texts and None.
    """
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def load_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON.

    Args:
        path: The file to read.

    Raises:
        UserError: The file is missing, too large or no JSON; the text names file and line.
    """
    try:
        content = read_limited(path, JSON_MB)
    except FileNotFoundError as error:
        raise UserError(f"Expected a JSON file at {path}, found nothing there.") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return parse_json(content, path)


def parse_json(content: str | bytes, where: str | os.PathLike[str]) -> Any:
    """Parse JSON that nobody vouches for.

    Args:
        content: Text, or its bytes in UTF-8.
        where: File, and line where that helps, for the error's text.

    Raises:
        UserError: It is no JSON, is nested too deeply, or holds text that cannot be written again.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        check_depth(text, where)
        parsed = json.loads(text)
        if _HALF_CHARACTER.search(text):
            json.dumps(parsed, ensure_ascii=False).encode()
        return parsed
    except UserError:
        raise
    except (ValueError, RecursionError) as error:  # also a number of too many digits, and half a character
        raise UserError(f"{where} is not valid JSON: {error}") from error


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Hash a file of any size.

    Args:
        path: The file.

    Returns:
        Hexadecimal SHA-256 of its bytes.

    Raises:
        UserError: The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()
