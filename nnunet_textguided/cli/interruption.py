"""Being asked to end, whichever way, is one thing to a command that has started processes: it ends them first."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_ENDINGS = ("SIGTERM", "SIGHUP")  # asked to end; the terminal was closed. Windows has no SIGHUP


@contextmanager
def interruption_raises() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as Ctrl-C does.

    A signal that is ignored (SIGHUP after nohup) stays ignored. Outside the main thread nothing changes.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = [number for name in _ENDINGS if (number := getattr(signal, name, None)) is not None]
    before = {}
    try:
        for number in numbers:
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, interrupt)
    except ValueError:  # not the main thread
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
