"""A training step of the network alone: forward pass, loss, backward pass, optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from nnunet_textguided.benchmark.bench import Bench
from nnunet_textguided.benchmark.measurement import FINDINGS, Measurement, compared, with_condition
from nnunet_textguided.benchmark.turns import Seconds, in_turns

PART = "step"
STEP, PROCESSOR = "training step", "training step, processor time"


def measure_steps(bench: Bench) -> list[Measurement]:
    """Time steps on one batch, in turns.

    Args:
        bench: Builds the trainers.
    """
    rows = step_rows(PART, time_steps(bench, bench.trainers()), bench)
    return with_condition(rows, FINDINGS, bench.findings())


def time_steps(bench: Bench, trainers: Mapping[str, Any]) -> dict[str, list[Seconds]]:
    """Let trainers make steps in turns.

    Args:
        bench: Says how often, and has the clock.
        trainers: Label -> one with a batch to repeat.
    """
    effort = bench.setting.effort
    tasks = {label: partial(bench.stopwatch.both, one.train_step, one.fixed_batch) for label, one in trainers.items()}
    return in_turns(tasks, effort.rounds, effort.warm_up)


def step_rows(
    part: str, seconds: Mapping[str, list[Seconds]], bench: Bench, at: Mapping[str, Any] | None = None
) -> list[Measurement]:
    """Set steps in relation; on the CPU also what they took of the processor, which a busy machine changes little.

    Args:
        part: Of the benchmark.
        seconds: Label -> one entry a round.
        bench: Knows reference and device.
        at: Conditions.
    """
    reference = bench.setting.reference
    wall = {label: [one.wall for one in own] for label, own in seconds.items()}
    rows = compared(part, STEP, "s", wall, reference, at)
    if bench.setting.device.type == "cpu":
        processor = {label: [one.processor for one in own] for label, own in seconds.items()}
        rows += compared(part, PROCESSOR, "s", processor, reference, at)
    return rows
