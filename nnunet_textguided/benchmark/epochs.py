"""nnU-Net's own benchmark: the fastest of some epochs, with and without loading data."""

from __future__ import annotations

import logging

from nnunet_textguided.benchmark.bench import Bench, draw_batch
from nnunet_textguided.benchmark.measurement import Measurement, compared
from nnunet_textguided.benchmark.turns import in_turns
from nnunet_textguided.quiet import quiet

logger = logging.getLogger(__name__)

PART = "epochs"


def measure_epochs(bench: Bench) -> list[Measurement]:
    """Train all systems in turns, an epoch at a time.

    Args:
        bench: Builds the trainers.
    """
    rows = []
    for loaded in (False, True):
        words = "with data loading" if loaded else "without data loading"
        seconds = _epochs(bench, loaded)
        at = {"iterations": bench.setting.effort.iterations}
        rows += compared(PART, f"epoch {words}", "s", seconds, bench.setting.reference, at)
        fastest = {label: [min(values)] for label, values in seconds.items()}
        rows += compared(PART, f"fastest epoch {words}", "s", fastest, bench.setting.reference, at)
    return rows


def _epochs(bench: Bench, loaded: bool) -> dict[str, list[float]]:
    trainers = {system.label: bench.build(system) for system in bench.setting.systems}
    try:
        for trainer in trainers.values():
            if not loaded:
                trainer.fixed_batch = draw_batch(trainer)
        with quiet(logger):
            return in_turns({label: one.run_epoch for label, one in trainers.items()}, bench.setting.effort.epochs)
    finally:
        with quiet(logger):
            for trainer in trainers.values():
                trainer.close()
