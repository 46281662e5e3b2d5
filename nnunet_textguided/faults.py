"""Failures of the machine, told in words: memory, disks, folders and worker processes."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from nnunet_textguided.errors import UserError

_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|ALLOC_FAILED", re.IGNORECASE)
"""In what torch says of CUDA, MPS, the CPU ("DefaultCPUAllocator: can't allocate memory") and cuBLAS."""
_NO_WORKER = re.compile(r"workers? (?:are |is )?(?:no longer alive|died)|6 feet under|terminated abruptly")
"""In what batchgenerators, nnU-Net and concurrent.futures say when a process they started is gone."""
_ERRNO_HINTS = {
    "The disk, or your share of it, is full: free some space.": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    "The file or its folder may not be changed or read: check its permissions.": (
        *(errno.EROFS, errno.EACCES, errno.EPERM),
    ),
    "Was a disk or network folder unmounted, or a file moved? Put it back.": (
        *(errno.ENOENT, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.EIO, errno.ENXIO, errno.ENOTDIR),
    ),
}


def explanation(error: BaseException, memory: str = "", workers: str = "") -> str | None:
    """Say what failed and what to do; None where it is no failure of the machine.

    Args:
        error: Any.
        memory: What to change where memory ran out.
        workers: What to change where a worker process is gone.
    """
    if isinstance(error, OSError):
        hint = next((text for text, numbers in _ERRNO_HINTS.items() if error.errno in numbers), None)
        file = f" {error.filename}:" if error.filename else ""
        return None if hint is None else f"{file} {error.strerror}. {hint}".strip()
    text = str(error)
    first_line = text.strip().split("\n")[0][:200]
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY.search(text)):
        return f"Memory ran out ({first_line or 'MemoryError'}). {memory}".strip()
    if isinstance(error, RuntimeError) and _NO_WORKER.search(text):
        return (
            "A worker process ended before its time. Its own message, if any, stands above; without one it was most "
            f"likely killed because the machine's memory ran out. {workers}"
        ).strip()
    return None


@contextmanager
def explained(doing: str, again: str, memory: str = "", workers: str = "") -> Iterator[None]:
    """Turn failures of the machine into errors that say what to do; others pass as they are.

    Args:
        doing: What was tried, as the message begins.
        again: How to go on afterwards, as the message ends.
        memory: See `explanation`.
        workers: See `explanation`.

    Raises:
        UserError: The machine failed.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        text = explanation(error, memory, workers)
        if text is None:
            raise
        raise UserError(f"{doing}: {text} {again}") from error
