"""A limit on the size of files stands in for a disk that is nearly full: the system ends a write in its middle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

resource = pytest.importorskip("resource", reason="no limits here")


@contextmanager
def full_disk(size: int = 20_000) -> Iterator[None]:
    """No file of this process, and of those it starts, may grow beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
