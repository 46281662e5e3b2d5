"""Runs jobs through submitit, on this machine or on SLURM: each in a process and with a log of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_textguided.comparison.cluster_options import LOCAL, SLURM, ClusterOptions
from nnunet_textguided.comparison.jobs import Job
from nnunet_textguided.comparison.started_task import StartedTask, Work
from nnunet_textguided.errors import UserError

if TYPE_CHECKING:
    import submitit

logger = logging.getLogger(__name__)

FAILED = "failed"
SLURM_COMMANDS = ("sbatch", "srun", "sacct", "scancel")
_LAST_LINES = 25
_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 60.0  # between asking processes to end and ending them: an iteration and a checkpoint
_NO_LIMIT_MINUTES = 60 * 24 * 365  # submitit ends local processes, too, after a time; nobody waits that long
_REQUEUES = 100  # after time-outs; submitit's 3 would end a long training for good


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended.

    Attributes:
        job: Which one.
        status: "finished", "busy" (another process is at it) or "failed".
        reason: Of "busy", or how it failed.
        log: Everything the process printed.
    """

    job: Job
    status: str
    reason: str
    log: Path

    def last_lines(self) -> str:
        """Return the end of the log."""
        try:
            with self.log.open(encoding="utf-8", errors="replace") as stream:
                return "".join(deque(stream, maxlen=_LAST_LINES)).rstrip()
        except OSError:
            return "(no output)"


@dataclass(frozen=True)
class _Started:
    job: Job
    slot: int
    handle: submitit.Job
    pid_file: Path | None


def run_jobs(
    jobs: Sequence[Job], work_of: Callable[[Job], Work], options: ClusterOptions, logs: Path
) -> list[JobOutcome]:
    """Run jobs, as many at once as the options allow; a failed one does not stop the others.

    An interruption ends the jobs that are running and is passed on.

    Args:
        jobs: In the order they are started.
        work_of: Returns what a job's process calls; it is pickled.
        options: Where and how.
        logs: A folder `<job's name>/attempt_<n>` with log and submitit's files is made in it for every start.

    Returns:
        One outcome a job, in the order they ended.

    Raises:
        UserError: SLURM is asked for and not there.
    """
    if options.cluster == SLURM and not all(map(shutil.which, SLURM_COMMANDS)):
        raise UserError(
            f"--cluster slurm needs SLURM's commands {', '.join(SLURM_COMMANDS)} on the PATH: run this where you call "
            "sbatch, or leave --cluster out."
        )
    waiting = deque(jobs)
    running: list[_Started] = []
    outcomes: list[JobOutcome] = []
    try:
        while waiting or running:
            while waiting and (options.limit is None or len(running) < options.limit):
                started = _start(waiting.popleft(), work_of, options, logs, running)
                if isinstance(started, _Started):
                    running.append(started)
                else:
                    outcomes.append(started)
            for started in [entry for entry in running if entry.handle.done()]:
                running.remove(started)
                outcomes.append(_outcome(started))
                logger.info("%s: %s (%d to go)", started.job.name, outcomes[-1].status, len(waiting) + len(running))
            if running:
                time.sleep(_POLL_SECONDS)
    except BaseException:
        _cancel(running)
        raise
    return outcomes


def _start(
    job: Job, work_of: Callable[[Job], Work], options: ClusterOptions, logs: Path, running: Sequence[_Started]
) -> _Started | JobOutcome:
    taken = {entry.slot for entry in running}
    slot = next(number for number in range(len(taken) + 1) if number not in taken)
    folder = _new_folder(logs / job.name)
    pid_file = folder / "pid" if options.cluster == LOCAL else None
    task = StartedTask(work_of(job), options.devices_of(slot), pid_file)
    try:
        handle = _submit(task, job.name, options, folder)
    except (RuntimeError, OSError) as error:  # a queue that is full or says no to this one
        return JobOutcome(job, FAILED, f"could not be submitted: {error}", folder)
    logger.info("%s: %s (%s); log: %s", job.name, job.kind, job.reason, handle.paths.stdout)
    return _Started(job, slot, handle, pid_file)


def _submit(task: StartedTask, name: str, options: ClusterOptions, folder: Path) -> submitit.Job:
    import submitit
    from submitit.helpers import clean_env

    local = options.cluster == LOCAL
    parameters: dict[str, Any] = {f"slurm_{key}": value for key, value in options.slurm.items() if value is not False}
    if local:
        parameters = {"timeout_min": _NO_LIMIT_MINUTES}
    executor = submitit.AutoExecutor(folder=folder, cluster=options.cluster, slurm_max_num_timeout=_REQUEUES)
    executor.update_parameters(name=name, stderr_to_stdout=True, **parameters)
    # what is submitted from within a cluster's job must not inherit its size; a local process keeps its share of it
    with contextlib.nullcontext() if local else clean_env():
        return executor.submit(task)


def _new_folder(parent: Path) -> Path:
    """Make the next attempt's folder; another process may make one at the same time."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / f"attempt_{number}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder.absolute()
        number += 1


def _outcome(started: _Started) -> JobOutcome:
    from submitit.core.utils import UncompletedJobError

    paths = started.handle.paths
    if started.pid_file is not None and not paths.result_pickle.exists():
        _end_groups([started])  # what a killed process started lives on without it
        return JobOutcome(started.job, FAILED, "its process was ended from outside", paths.stdout)
    try:
        result = started.handle.result()
    except UncompletedJobError as error:  # also of a job that raised an error
        return JobOutcome(started.job, FAILED, _last_line(str(error)), paths.stdout)
    return JobOutcome(started.job, result.status, result.reason, paths.stdout)


def _last_line(text: str) -> str:
    """Return the error itself from submitit's report, which has the traceback between two dashed lines."""
    trace = text.split("-" * 22)
    lines = (trace[1] if len(trace) > 2 else text).strip().splitlines()
    return lines[-1] if lines else "unknown"


def _cancel(running: Sequence[_Started]) -> None:
    """End jobs: those of this machine are asked first, as trainers then write a checkpoint."""
    _end_groups(running)
    for started in running:
        with contextlib.suppress(OSError):
            started.handle.cancel(check=False)


def _end_groups(jobs: Sequence[_Started]) -> None:
    """End the processes of the groups that started processes lead: those and no others."""
    groups = {group for job in jobs if (group := _group(job.pid_file)) is not None}
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while groups and time.monotonic() < deadline:
        groups = {group for group in groups if _send(group, signal.SIGTERM)}
        for job in jobs:
            job.handle.done()  # takes note of the ones that ended, which would else still count as a group
        time.sleep(0.1)
    for group in groups:
        _send(group, signal.SIGKILL)


def _group(pid_file: Path | None) -> int | None:
    """The number of a process, which is its group's; None on a cluster, or where it did not come so far."""
    if pid_file is None:
        return None
    try:
        return int(pid_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _send(group: int, number: signal.Signals) -> bool:
    """Whether anybody was there to get a signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
