"""What torch.compile had to give up: graph breaks, and compiling again after warm-up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch._dynamo
from torch._dynamo.utils import counters

from nnunet_textguided.benchmark.bench import Bench
from nnunet_textguided.benchmark.measurement import Measurement

PART = "compilation"
BREAKS, AGAIN = "graph breaks", "graphs compiled after warm-up"


def measure_compilation(bench: Bench) -> list[Measurement]:
    """Count for every system whose trainer compiles; on the CPU nnU-Net does not.

    Args:
        bench: Builds the trainers.
    """
    effort, rows = bench.setting.effort, []
    for system in bench.setting.systems:
        trainer = bench.build(system)
        if not trainer._do_i_compile():
            continue
        trainer.fixed_batch = bench.trainer(system).fixed_batch
        breaks, again = compile_events(partial(trainer.train_step, trainer.fixed_batch), effort.rounds)
        rows.append(Measurement(PART, BREAKS, system.label, "", (float(breaks),)))
        rows.append(Measurement(PART, AGAIN, system.label, "", (float(again),)))
    return rows


def compile_events(step: Callable[[], Any], steps: int, warm_up: int = 3) -> tuple[int, int]:
    """Count what happens over some steps.

    Args:
        step: Runs something compiled that has not run before.
        steps: After the warm-up.
        warm_up: Steps that may compile.

    Returns:
        Graph breaks from the first step on, and graphs compiled after the warm-up.
    """
    torch._dynamo.reset()
    counters.clear()
    for _ in range(warm_up):
        step()
    before = counters["stats"]["unique_graphs"]
    for _ in range(steps):
        step()
    return sum(counters["graph_break"].values()), counters["stats"]["unique_graphs"] - before
