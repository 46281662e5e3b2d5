"""What runs in a process that submitit started, around the work itself."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

FINISHED, BUSY = "finished", "busy"


@dataclass(frozen=True)
class WorkResult:
    """How a process ended that did not fail.

    Attributes:
        status: "finished", or "busy" where another process was at the same thing.
        reason: Who, for people.
    """

    status: str
    reason: str = ""


Work = Callable[[], WorkResult]


@dataclass(frozen=True)
class StartedTask:
    """Sets the process up and does the work; a cluster may queue it again when its time is up.

    Attributes:
        work: What is done.
        devices: Value of CUDA_VISIBLE_DEVICES; None leaves it. submitit's local processes start with an empty one.
        pid_file: Where the process writes its number, once it leads a group of all processes it will start, so that
            they can be ended with it. None on a cluster, which ends them itself.
    """

    work: Work
    devices: str | None = None
    pid_file: Path | None = None

    def __call__(self) -> WorkResult:
        """Do the work."""
        if self.pid_file is not None:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # submitit passes it over; our trainers write a checkpoint
            self.pid_file.write_text(str(os.getpid()), encoding="utf-8")
        if self.devices is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.devices
        default_signals_in_children()
        return self.work()

    def checkpoint(self) -> DelayedSubmission:
        """Return what is to be queued when the cluster takes the machine away: the same once more."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def default_signals_in_children() -> None:
    """Let forked processes end when they are asked to.

    submitit's process passes SIGTERM over and queues the job again on SIGUSR2. nnU-Net's workers are forked from it:
    they would outlive the training, and every one of them would queue the job. A pool may end a worker before it has
    come to these lines; what is sent until then waits, else that worker would pass it over and be waited for without
    end.
    """
    os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_default_signals)


_masks = threading.local()


def _hold_signals() -> None:
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGUSR2))


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _default_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    _release_signals()
