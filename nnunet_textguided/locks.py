"""One fold is worked on by one process at a time, wherever the others are: a lock file beside the fold's folder.

The holder touches the file every half minute. A lock is stale, and taken over, if

- it was taken on this machine by a process that is no more, or before the machine was started again, or
- it is from the same cluster job, which was requeued, or
- it is from another machine and was not touched while this process watched it for five minutes.

No two times are compared: a file that changes is alive, whatever the clocks say.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
import uuid
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import save_json_atomic
from nnunet_textguided.processes import birth, boot, place

BEAT_SECONDS = 30.0
WATCH_SECONDS = 300.0
"""Several missed beats: a busy file server must not look like a dead process."""
SETTLE_SECONDS = 2.0
"""Two processes may find the same stale lock: both write their name, and the one still there after a pause has it."""
HELD = "NNUNET_TEXTGUIDED_LOCKS"
"""Environment variable with the tokens of the locks that this process, or one that started it, holds."""

logger = logging.getLogger(__name__)


class RunBusyError(UserError):
    """Another process is at this fold."""


def fold_lock_path(fold_folder: Path) -> Path:
    """Return where a fold's lock is, beside the fold's folder, so that nnU-Net never sees it.

    Args:
        fold_folder: nnUNet_results/.../fold_X.
    """
    return fold_folder.with_name(f".{fold_folder.name}.lock")


def take_unless_held(path: Path) -> RunLock | None:
    """Take a lock, unless this process or one that started it has it already.

    Args:
        path: Of the lock file.

    Returns:
        The lock, to be released; None where somebody else will do that.

    Raises:
        RunBusyError: Another process holds it.
        UserError: The lock cannot be written.
    """
    if _read(path).get("token") in _held_tokens():
        return None
    lock = RunLock(path)
    lock.acquire()
    return lock


class RunLock:
    """Holds a lock file while the block runs.

    Args:
        path: Of the lock file.
        beat_seconds: Between two touches.
        watch_seconds: How long a lock from another machine is watched before it counts as left behind.
        settle_seconds: Pause after taking over a stale lock.
    """

    def __init__(
        self,
        path: Path,
        beat_seconds: float = BEAT_SECONDS,
        watch_seconds: float = WATCH_SECONDS,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self.path = path
        self.beat_seconds = beat_seconds
        self.watch_seconds = watch_seconds
        self.settle_seconds = settle_seconds
        self._own = {**_whoami(), "token": uuid.uuid4().hex}
        self._ended = threading.Event()

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            RunBusyError: Another process holds it.
            UserError: The lock cannot be written.
        """
        while not (self._create() or self._take_over()):
            pass  # given back between the two looks
        _set_held(_held_tokens() | {self._own["token"]})
        threading.Thread(target=self._beat, daemon=True).start()

    def release(self) -> None:
        """Give the lock back; a forked process has a copy of this object and leaves the lock alone."""
        if os.getpid() != self._own["pid"]:
            return
        self._ended.set()
        _set_held(_held_tokens() - {self._own["token"]})
        with contextlib.suppress(OSError):  # where the folder is gone or locked, nothing is left to do
            if self._is_mine():
                self.path.unlink(missing_ok=True)

    def __enter__(self) -> RunLock:
        """As `acquire`."""
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As `release`."""
        self.release()

    def _create(self) -> bool:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # also a file in the place of a folder, which is no lock that exists
            raise self._not_written(error) from error
        try:
            stream = self.path.open("x", encoding="utf-8")  # fails where the file exists: nobody comes between
        except FileExistsError:
            return False
        except OSError as error:
            raise self._not_written(error) from error
        try:
            with stream:
                json.dump(self._own, stream)
        except OSError as error:
            with contextlib.suppress(OSError):
                self.path.unlink()
            raise self._not_written(error) from error
        return True

    def _not_written(self, error: OSError) -> UserError:
        return UserError(
            f"Could not write the lock {self.path}: {error.strerror}. Check free space and permissions of the folder, "
            "and whether its disk is still mounted."
        )

    def _take_over(self) -> bool:
        holder = _read(self.path)
        if not self._is_stale(holder):
            if not self.path.exists():
                return False
            raise RunBusyError(_busy_text(self.path, holder))
        save_json_atomic(self._own, self.path)
        time.sleep(self.settle_seconds)
        if not self._is_mine():
            raise RunBusyError(_busy_text(self.path, _read(self.path)))
        return True

    def _is_stale(self, holder: dict[str, Any]) -> bool:
        if holder.get("job") is not None and holder["job"] == self._own["job"]:
            return True
        if holder.get("place") != self._own["place"]:
            return not self._shows_life(holder)
        restarted = holder.get("boot") is not None and holder["boot"] != self._own["boot"]
        return restarted or birth(int(holder["pid"])) != holder["birth"]

    def _shows_life(self, holder: dict[str, Any]) -> bool:
        """Watch the file for a change, by a clock that only counts on."""
        who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
        logger.info("%s: looking for up to %.0f s whether %s is alive", self.path, self.watch_seconds, who)
        before, start = _stamp(self.path), time.monotonic()
        while time.monotonic() - start < self.watch_seconds:
            time.sleep(min(1.0, self.watch_seconds / 10))
            if _stamp(self.path) != before:
                return True
        return False

    def _is_mine(self) -> bool:
        return _read(self.path).get("token") == self._own["token"]

    def _beat(self) -> None:
        while not self._ended.wait(self.beat_seconds):
            with contextlib.suppress(OSError):  # a file server that is away for a moment
                if self._is_mine():
                    os.utime(self.path)


def _whoami() -> dict[str, Any]:
    return {
        "place": place(),
        "host": place().split(" ")[0],
        "boot": boot(),
        "pid": os.getpid(),
        "birth": birth(os.getpid()),
        "job": os.environ.get("SLURM_JOB_ID"),
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),  # for people
    }


def _held_tokens() -> set[str]:
    return set(os.environ.get(HELD, "").split())


def _set_held(tokens: set[str]) -> None:
    os.environ[HELD] = " ".join(sorted(tokens))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _read(path: Path) -> dict[str, Any]:
    """Return who holds the lock; nothing where it is gone or being written."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _busy_text(path: Path, holder: dict[str, Any]) -> str:
    job = f", cluster job {holder['job']}" if holder.get("job") else ""
    since = f", since {holder['since']}" if holder.get("since") else ""
    return (
        f"process {holder.get('pid', '?')} on {holder.get('host', '?')}{job} is at it{since}. If you are sure it is "
        f"not, delete {path} and run the same command again."
    )
