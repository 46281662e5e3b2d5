"""Tells processes apart, also over restarts of the machine; no clock is read for it."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def place() -> str:
    """Name where process numbers mean the same: a machine, or a container on it."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def boot() -> str | None:
    """Name the present run of the machine; None where the system has no name for it (random(4))."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def birth(pid: int) -> str | None:
    """Tell one process from a later one of the same number; None where there is none.

    On Linux it is the time of start in clock ticks since the machine started, field 22 of /proc/PID/stat (proc(5));
    the name of the program, field 2, may hold spaces. Elsewhere all that is known is that there is a process.

    Args:
        pid: Its number.
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
