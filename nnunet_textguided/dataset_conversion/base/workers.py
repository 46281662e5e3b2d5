"""Converting many cases with many processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import Any

import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.base.cases import CaseTask, convert_case
from nnunet_textguided.dataset_conversion.base.problems import CaseError

Outcome = tuple[CaseTask, dict[str, Any] | CaseError]
_QUEUED = 8  # cases a process that wait their turn; more would only hold memory


def convert_cases(tasks: Sequence[CaseTask], processes: int, write: bool = True) -> Iterator[Outcome]:
    """Yield each case's record or problem as it is done.

    Args:
        tasks: The cases.
        processes: How many to use; with 1 no other process is started.
        write: False only reads and checks.
    """
    if processes == 1:
        for task in tasks:
            try:
                yield task, convert_case(task, write)
            except CaseError as problem:
                yield task, problem
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_prepare_worker) as pool:
        try:
            yield from _in_pool(pool, tasks, processes * _QUEUED, write)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _in_pool(pool: ProcessPoolExecutor, tasks: Sequence[CaseTask], at_once: int, write: bool) -> Iterator[Outcome]:
    waiting = iter(tasks)
    pending: dict[Future[dict[str, Any]], CaseTask] = {}
    while True:
        for task in islice(waiting, at_once - len(pending)):
            pending[pool.submit(convert_case, task, write)] = task
        if not pending:
            return
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            task, error = pending.pop(future), future.exception()
            if error is not None and not isinstance(error, CaseError):
                raise error
            yield task, error if error is not None else future.result()


def _prepare_worker() -> None:
    """Keep ITK from starting a thread a core in every worker, and leave Ctrl-C to the parent, which saves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def default_processes() -> int:
    """Return how many processes to use if the user does not say: the cores, at most 8."""
    return max(1, min(8, os.cpu_count() or 1))
