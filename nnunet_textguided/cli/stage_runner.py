"""Runs commands one after the other, remembers which are done, and takes up where an interrupted run stopped."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_textguided.cli.interruption import interruption_raises
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import save_json_atomic

_LAST_LINES = 15
_PATIENCE_SECONDS = 10  # between asking a stage to end and ending it


@dataclass(frozen=True)
class Stage:
    """One command.

    Attributes:
        name: Short name; names log and marker.
        title: What it does, for people.
        command: The command as a user would type it.
        progress: Regular expression of output lines that are shown; all output goes to the log.
        resume: Returns what to append to the command where an earlier run of it was cut off.
    """

    name: str
    title: str
    command: tuple[str, ...]
    progress: str = r"(?!)"
    resume: Callable[[], tuple[str, ...]] = tuple


Launch = Callable[[Sequence[str], Mapping[str, str], Path, str], int]


class StageRunner:
    """Runs stages in a folder.

    Args:
        folder: Logs go to `logs/` in it, markers of finished stages to `done/`.
        environment: Variables added to the process's own for every stage.
        launch: Starts a command and returns its exit status; exchanged in tests.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], launch: Launch | None = None) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.launch = launch or launch_process

    def run(self, stages: Sequence[Stage]) -> None:
        """Run what is not done yet; after a stage that had to run, all later ones run too.

        Raises:
            UserError: A stage failed; the text holds its command and the end of its log.
        """
        fresh = False
        for number, stage in enumerate(stages, start=1):
            print(f"\n[{number}/{len(stages)}] {stage.title}")
            if not fresh and self.is_done(stage):
                print(f"  done before: {shlex.join(stage.command)}")
                continue
            fresh = True
            self._run_stage(stage)

    def is_done(self, stage: Stage) -> bool:
        """Whether this very command has finished here before."""
        try:
            marker = json.loads(self._marker(stage).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(marker, dict) and marker.get("sha256") == self._hash(stage)

    def _run_stage(self, stage: Stage) -> None:
        self._marker(stage).unlink(missing_ok=True)
        command = (*stage.command, *stage.resume())
        log = self.folder / "logs" / f"{stage.name}.log"
        print(f"  {shlex.join(command)}", flush=True)
        start = time.monotonic()
        status = self.launch(command, self.environment, log, stage.progress)
        seconds = time.monotonic() - start
        if status != 0:
            raise UserError(self._failure(stage.name, command, status, log))
        save_json_atomic(
            {"command": list(stage.command), "sha256": self._hash(stage), "seconds": round(seconds, 1)},
            self._marker(stage),
        )
        print(f"  {seconds:.0f} s", flush=True)

    def _failure(self, name: str, command: Sequence[str], status: int, log: Path) -> str:
        try:
            with log.open(encoding="utf-8", errors="replace") as stream:
                lines = "".join(deque(stream, maxlen=_LAST_LINES)).rstrip()
        except OSError:
            lines = ""
        how = f"was ended by signal {-status}" if status < 0 else f"failed with exit status {status}"
        return (
            f"Stage {name} {how}:\n  {shlex.join(command)}\nThe end of {log}:\n{lines or '(no output)'}\n"
            "Put that right and run the same nnunet_textguided command again: finished stages are kept."
        )

    def _marker(self, stage: Stage) -> Path:
        return self.folder / "done" / f"{stage.name}.json"

    def _hash(self, stage: Stage) -> str:
        return hashlib.sha256(json.dumps(list(stage.command)).encode()).hexdigest()


def find_executable(name: str) -> str:
    """Return the path of a command of this Python's environment, activated or not.

    Args:
        name: `python`, or a console script.

    Raises:
        UserError: There is no such command.
    """
    if name == "python":
        return sys.executable
    folders = [sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise UserError(
            f"The command {name} is neither in {folders[0]} nor on the PATH. It comes with this package's "
            "installation: run `pip install .` with this Python, then `nnunet_textguided doctor`."
        )
    return found


def launch_process(command: Sequence[str], environment: Mapping[str, str], log: Path, progress: str) -> int:
    """Run a command, write its output to a log, show the lines that match, and return the exit status.

    An interruption of this process (also SIGTERM) ends the command with all processes it started.

    Args:
        command: Name and arguments.
        environment: Variables added to this process's own.
        log: File to append to.
        progress: Regular expression of lines to show.
    """
    executable = find_executable(command[0])
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        stream = log.open("a", encoding="utf-8")
    except OSError as error:
        raise UserError(f"Could not write {log}: {error.strerror}. Choose another folder with --out.") from error
    with stream, interruption_raises():
        stream.write(f"\n$ {shlex.join(command)}\n")
        process = subprocess.Popen(
            [executable, *command[1:]],
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            for line in process.stdout or ():
                stream.write(line)
                stream.flush()
                if re.search(progress, line):
                    print(f"    {line.rstrip()}", flush=True)
            return process.wait()
        except BaseException:
            _end_group(process)
            raise


def _end_group(process: subprocess.Popen[str]) -> None:
    """End the processes of the session this process leads: those and no others."""
    for name in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, name)
            process.wait(timeout=_PATIENCE_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
