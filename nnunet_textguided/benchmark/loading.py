"""Whether batches are loaded as fast as the network takes them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from nnunet_textguided.benchmark.bench import Bench, environment, seed_everything
from nnunet_textguided.benchmark.measurement import Measurement
from nnunet_textguided.benchmark.steps import time_steps
from nnunet_textguided.benchmark.turns import Stopwatch
from nnunet_textguided.quiet import quiet

logger = logging.getLogger(__name__)

PART = "loading"
BATCH, SHARE = "batch of the loader alone", "loader over step"


def measure_loading(bench: Bench) -> list[Measurement]:
    """Time the loader of every system with nothing else running, beside the step of its network.

    Above 1, `loader over step` says that the network would wait: with loading processes at a training's pace, without
    them (0 workers) at every step. Processes share the cores with a network on the CPU; what that comes to in all is in
    the epochs with and without loading.

    Args:
        bench: Builds the trainers.
    """
    setting, rows = bench.setting, []
    steps = time_steps(bench, bench.trainers())
    for workers in setting.workers:
        for system in setting.systems:
            seconds = _loader_seconds(bench, system, workers)
            ratios = [own / step.wall for own, step in zip(seconds, steps[system.label], strict=True)]
            at = {"workers": workers}
            rows.append(Measurement(PART, BATCH, system.label, "s", tuple(seconds), at))
            rows.append(Measurement(PART, SHARE, system.label, "ratio", tuple(ratios), at))
    return rows


def _loader_seconds(bench: Bench, system: Any, workers: int) -> list[float]:
    trainer = bench.build(system)
    seed_everything()
    with quiet(logger), environment(nnUNet_n_proc_DA=str(workers)):
        trainer.dataloader_train, trainer.dataloader_val = loaders = trainer.get_dataloaders()
        try:
            stop(loaders[1])  # validation draws would take the same cores
            return seconds_per_batch(
                loaders[0], batches_ahead(loaders[0]), max(1, workers), bench.setting.effort.rounds, bench.stopwatch
            )
        finally:
            stop(loaders[0])


def seconds_per_batch(
    loader: Iterator[Any], ahead: int, together: int, rounds: int, stopwatch: Stopwatch
) -> list[float]:
    """Time a loader in its steady state.

    Args:
        loader: Endless.
        ahead: Batches it makes ahead; so many are drawn first and do not count.
        together: Batches that a value is the mean of: they come in bursts where several processes make them.
        rounds: Number of values.
        stopwatch: Of the device.

    Returns:
        Seconds a batch.
    """

    def draw() -> None:
        for _ in range(together):
            next(loader)

    for _ in range(ahead):
        next(loader)
    return [stopwatch.seconds(draw) / together for _ in range(rounds)]


def batches_ahead(loader: Any) -> int:
    """Return how many batches nnU-Net's loader of several processes keeps ready; one in the training's process none.

    Args:
        loader: Of training or validation.
    """
    if not hasattr(loader, "num_cached"):
        return 0
    # a queue between the processes and one behind it, and what each process and the thread between them hold
    return 2 * int(loader.num_cached) + int(loader.num_processes) + 1


def stop(loader: Any) -> None:
    """End the processes of a loader and drop what they have ready; the next batch that is drawn starts them again.

    Args:
        loader: Of training or validation.
    """
    if hasattr(loader, "_finish"):
        loader._finish()
