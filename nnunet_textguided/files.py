"""Whole files or none: everything is written under a temporary name and then renamed."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.limits import JSON_MB, check_depth, read_limited
from nnunet_textguided.processes import birth, place

_CHUNK_BYTES = 1 << 20
_HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
_WRITES = itertools.count()
_TEMPORARY = re.compile(r"\.partial-(?:(?P<place>[0-9a-f]{8})-)?(?P<pid>\d+)-")
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def atomic_path(path: str | os.PathLike[str], durable: bool = False) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that replaces it when the block ends without an error.

    The temporary name keeps the suffixes, because writers such as SimpleITK choose the format by them.

    Args:
        path: The file to write; its folder is made if missing.
        durable: Wait until the content is on the disk, so that not even a power cut leaves half of it.

    Raises:
        UserError: The folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(_hidden_name(path.name))
    try:
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            if durable:
                _flush_to_disk(temporary)
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # the folder is a file or gone, as was said above; what is left is removed later
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_files(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a hidden folder beside `path`; what is in it takes its place there when the block ends without an error.

    For writers that put other files beside the one they are told to write. That one comes last: where it is, the
    others are, too.

    Args:
        path: The file, or *ENDING for all files that end so; its folder is made if missing.

    Raises:
        UserError: As `atomic_path`.
    """
    path = Path(path)
    hidden = path.with_name(_hidden_name("files"))
    try:
        with _told(path):
            hidden.mkdir(parents=True)
            yield hidden
            for file in sorted(hidden.iterdir(), key=lambda file: is_meant(path, file)):
                os.replace(file, path.with_name(file.name))
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def is_meant(path: Path, file: Path) -> bool:
    """Tell whether a file is the one, or one of those, that `atomic_files` was asked for.

    Args:
        path: As given there.
        file: In the hidden folder.
    """
    return file.name.endswith(path.name.removeprefix("*"))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in words what the system did not write."""
    try:
        yield
    except Exception as error:
        reason = _write_failure(error)
        if reason is None:
            raise
        raise UserError(
            f"Could not write {path}: {reason}. Nothing was changed there. "
            "Check free space and permissions of the folder, then run the same command again."
        ) from error


def _hidden_name(name: str) -> str:
    # the number keeps threads that write the same file apart
    return f".partial-{_place_hash()}-{os.getpid()}-{next(_WRITES)}-{name}"


def remove_leftovers(folder: str | os.PathLike[str], alone: bool = False) -> list[Path]:
    """Remove what killed processes left half written: temporary files and folders of the two above.

    Args:
        folder: Where to look, not below it; need not exist.
        alone: Whether nobody else can be writing there; otherwise only what a process of this machine left that is no
            more is removed.

    Returns:
        What was removed.
    """
    removed = []
    for file in Path(folder).glob(".partial-*"):
        name = _TEMPORARY.match(file.name)
        if name is None or int(name["pid"]) == os.getpid():
            continue
        if alone or (name["place"] == _place_hash() and birth(int(name["pid"])) is None):
            if file.is_dir():
                shutil.rmtree(file, ignore_errors=True)
            else:
                file.unlink(missing_ok=True)
            removed.append(file)
    return removed


def _place_hash() -> str:
    return hashlib.sha256(place().encode()).hexdigest()[:8]


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_failure(error: Exception) -> str | None:
    """Return why the system did not write, in its words; None where the error is another one.

    safetensors tells the system's errors as text, torch says in which file of its own its writer stopped.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if found := _OS_ERROR.search(str(error)):
        return os.strerror(int(found[1]))
    return "it could not be written to its end" if "inline_container" in str(error) else None


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
