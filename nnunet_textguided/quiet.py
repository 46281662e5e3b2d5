"""nnU-Net prints as it goes; where a library call has no business on standard output, its words go to the log."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def quiet(logger: logging.Logger) -> Iterator[None]:
    """Send what is printed inside the block to a log, at debug level.

    Args:
        logger: Of the module that calls nnU-Net.
    """

    class _ToLog:
        def write(self, text: str) -> int:
            if text.strip():
                logger.debug("nnU-Net: %s", text.strip())
            return len(text)

        def flush(self) -> None:
            """Nothing is held back."""

    with contextlib.redirect_stdout(_ToLog()):
        yield
