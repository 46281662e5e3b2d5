"""A process of its own for every measurement: its start until the first step, and its peak of memory."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

from nnunet_textguided.benchmark.measurement import Measurement, compared
from nnunet_textguided.benchmark.turns import in_turns

if TYPE_CHECKING:
    from nnunet_textguided.benchmark.bench import Bench
    from nnunet_textguided.benchmark.setting import Setting
    from nnunet_textguided.comparison.grid import System

PART = "process"
STEPS = 3
"""Steps of which the peak of memory is taken; the optimiser's state is there from the first on."""
QUANTITIES = {
    "imports": "s",
    "initialise": "s",
    "first step": "s",
    "start until the first step is done": "s",
    "peak memory": "MB",
    "peak memory above that of the imports": "MB",
}
ROUNDS = 3


def measure_processes(bench: Bench) -> list[Measurement]:
    """Start a process a system, in turns.

    Args:
        bench: Knows the systems; none of its trainers is used.
    """
    setting = bench.setting
    scratch = str(bench.scratch)
    tasks = {system.label: partial(_run_alone, setting, system, scratch) for system in setting.systems}
    found = in_turns(tasks, min(ROUNDS, setting.effort.rounds))
    rows = []
    for quantity, unit in QUANTITIES.items():
        values = {label: [v for v in (one[quantity] for one in own) if v is not None] for label, own in found.items()}
        if all(values.values()):
            rows += compared(PART, quantity, unit, values, setting.reference)
    return rows


def _run_alone(setting: Setting, system: System, scratch: str) -> dict[str, float | None]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(first_steps, setting, system, scratch, time.time()).result()


def first_steps(setting: Setting, system: System, scratch: str, started: float) -> dict[str, float | None]:
    """Do what a training does until its third step; run in a process that has done nothing else.

    Args:
        setting: Of the benchmark.
        system: One of its systems.
        scratch: Folder for what nnU-Net writes.
        started: `time.time()` when the process was started.

    Returns:
        The `QUANTITIES`; None where the system does not say.
    """
    from pathlib import Path

    from nnunet_textguided.benchmark.bench import Bench, draw_batch
    from nnunet_textguided.comparison.resource_use import (
        peak_memory_mb,
        resident_memory_mb,
        set_threads,
        start_measuring,
    )

    imported = time.time()
    on_gpu = setting.device.type == "cuda"
    before = 0.0 if on_gpu else resident_memory_mb()
    bench = Bench(setting, Path(scratch))
    set_threads(setting.device, setting.threads)
    start_measuring(setting.device)
    trainer = bench.build(system)
    initialised = time.time()
    batch = draw_batch(trainer)
    drawn = time.time()
    seconds = [bench.stopwatch.seconds(trainer.train_step, batch) for _ in range(STEPS)]
    peak = peak_memory_mb(setting.device)
    above = None if peak is None or before is None else peak - before
    times = (imported - started, initialised - imported, seconds[0], drawn - started + seconds[0], peak, above)
    return dict(zip(QUANTITIES, times, strict=True))
