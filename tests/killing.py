"""Kills a command of ours at a chosen call of a function: no clock and no file decides when."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

CHILD = """
import importlib, os, signal, sys
target, call, how, *command = sys.argv[1:]
module, _, names = target.partition(":")
*owners, name = names.split(".")
owner = importlib.import_module(module)
for part in owners:
    owner = getattr(owner, part)
plain, calls = getattr(owner, name), []

def deadly(*args, **options):
    calls.append(args)
    if len(calls) == int(call):
        if how == "half":  # a writer: its second argument is the file
            plain(*args, **options)
            os.truncate(args[1], os.path.getsize(args[1]) // 2)
        os.kill(os.getpid(), signal.SIGTERM if how == "asked" else signal.SIGKILL)
    return plain(*args, **options)

setattr(owner, name, deadly)
from nnunet_textguided.cli.main import main
sys.exit(main(command))
"""


def run_killed(
    line: str, target: str, call: int = 1, how: str = "before", environment: dict[str, str] | None = None
) -> None:
    """Run `nnunet_textguided LINE` in a process that dies by a signal when a function is called for the n-th time.

    Args:
        line: What a user types after the program's name.
        target: module:name or module:Class.method, looked up where it is called from.
        call: Which call.
        how: "before" dies at the call by SIGKILL, "asked" by SIGTERM; "half" lets it write the file that is its second
            argument, cuts that in two and dies by SIGKILL.
        environment: Of the process.
    """
    command = [sys.executable, "-c", CHILD, target, str(call), how, *line.split()]
    with subprocess.Popen(
        command, env=environment or dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(600)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers it leaves behind
        output = process.stdout.read()
    number = signal.SIGTERM if how == "asked" else signal.SIGKILL
    assert process.returncode == -number, f"{line} was not killed at {target}:\n{output[-3000:]}"


def half_written(folder: Path) -> list[Path]:
    """Temporary files and folders of `nnunet_textguided.files` anywhere below a folder."""
    return sorted(folder.rglob(".partial-*"))
