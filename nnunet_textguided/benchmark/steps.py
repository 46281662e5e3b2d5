"""A training step of the network alone: forward pass, loss, backward pass, optimiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nnunet_textguided.benchmark.bench import Bench
from nnunet_textguided.benchmark.measurement import Measurement, compared
from nnunet_textguided.benchmark.turns import Stopwatch, in_turns

PART = "step"


def measure_steps(bench: Bench) -> list[Measurement]:
    """Time steps on one batch, in turns.

    Args:
        bench: Builds the trainers.
    """
    effort = bench.setting.effort
    steps = timed_steps(bench.trainers(), bench.stopwatch)
    seconds = in_turns(steps, effort.rounds, effort.warm_up)
    return compared(PART, "training step", "s", seconds, bench.setting.reference)


def timed_steps(trainers: Mapping[str, Any], stopwatch: Stopwatch) -> dict[str, Callable[[], float]]:
    """Return for every trainer what makes one step and returns its seconds.

    Args:
        trainers: Label -> one with a batch to repeat.
        stopwatch: Of the device.
    """
    return {label: partial(stopwatch.seconds, one.train_step, one.fixed_batch) for label, one in trainers.items()}
