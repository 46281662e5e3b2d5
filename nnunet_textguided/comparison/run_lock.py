"""One run is trained by one process at a time, wherever the others are: a lock file beside the fold's folder.

The holder touches the file every minute. A lock is stale, and taken over, if

- it was taken on this machine by a process that is no more, or
- it is from the same cluster job, which was requeued, or
- it is from another machine and was not touched for a quarter of an hour.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import save_json_atomic

BEAT_SECONDS = 60.0
STALE_SECONDS = 900.0
"""Several missed beats: a busy file server must not look like a dead process."""
SETTLE_SECONDS = 2.0
"""Two processes may find the same stale lock: both write their name, and the one still there after a pause has it."""


class RunBusyError(UserError):
    """Another process is at this run."""


def lock_path(run: Run, results: Path) -> Path:
    """Return where a run's lock is, beside the fold's folder, so that nnU-Net never sees it.

    Args:
        run: Which one.
        results: nnUNet_results.
    """
    return run.model_folder(results) / f".fold_{run.fold}.lock"


class RunLock:
    """Holds a lock file while the block runs.

    Args:
        path: Of the lock file.
        beat_seconds: Between two touches.
        stale_seconds: Without a touch, after which a lock from another machine counts no more.
        settle_seconds: Pause after taking over a stale lock.
    """

    def __init__(
        self,
        path: Path,
        beat_seconds: float = BEAT_SECONDS,
        stale_seconds: float = STALE_SECONDS,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self.path = path
        self.beat_seconds = beat_seconds
        self.stale_seconds = stale_seconds
        self.settle_seconds = settle_seconds
        self._own = {**_whoami(), "token": uuid.uuid4().hex}
        self._ended = threading.Event()

    def __enter__(self) -> RunLock:
        """Take the lock.

        Raises:
            RunBusyError: Another process holds it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.path.open("x", encoding="utf-8") as stream:  # fails where the file exists: nobody comes between
                json.dump(self._own, stream)
        except FileExistsError:
            self._take_over()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back."""
        self._ended.set()
        if self._is_mine():
            self.path.unlink(missing_ok=True)

    def _take_over(self) -> None:
        holder = _read(self.path)
        if not self._is_stale(holder):
            raise RunBusyError(_busy_text(self.path, holder))
        save_json_atomic(self._own, self.path)
        time.sleep(self.settle_seconds)
        if not self._is_mine():
            raise RunBusyError(_busy_text(self.path, _read(self.path)))

    def _is_stale(self, holder: dict[str, Any]) -> bool:
        if holder.get("job") is not None and holder["job"] == self._own["job"]:
            return True
        if holder.get("place") == self._own["place"]:
            return _birth(int(holder["pid"])) != holder["birth"]
        return _age_seconds(self.path) > self.stale_seconds

    def _is_mine(self) -> bool:
        return _read(self.path).get("token") == self._own["token"]

    def _beat(self) -> None:
        while not self._ended.wait(self.beat_seconds):
            with contextlib.suppress(OSError):  # a file server that is away for a moment
                if self._is_mine():
                    os.utime(self.path)


def _whoami() -> dict[str, Any]:
    return {
        "place": _place(),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "birth": _birth(os.getpid()),
        "job": os.environ.get("SLURM_JOB_ID"),
    }


def _place() -> str:
    """Name where process numbers mean the same: a machine, or a container on it."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _birth(pid: int) -> str | None:
    """Tell one process from a later one of the same number; None where there is none.

    On Linux it is the time of start in clock ticks, field 22 of /proc/PID/stat (proc(5)); the name of the program,
    field 2, may hold spaces. Elsewhere all that is known is that there is a process.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return "there"
    return "there"


def _read(path: Path) -> dict[str, Any]:
    """Return who holds the lock; nothing where it is gone or being written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _age_seconds(path: Path) -> float:
    """Return how long a file was not touched, by the clock of the file system it is on."""
    probe = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:  # given back just now: let the next try have it
        return 0.0
    finally:
        probe.unlink(missing_ok=True)


def _busy_text(path: Path, holder: dict[str, Any]) -> str:
    job = f", cluster job {holder['job']}" if holder.get("job") else ""
    return (
        f"process {holder.get('pid', '?')} on {holder.get('host', '?')}{job} is at it. If you are sure it is not, "
        f"delete {path} and run the same command again."
    )
