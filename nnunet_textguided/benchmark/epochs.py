"""nnU-Net's own benchmark: the fastest of some epochs, with and without loading data."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from nnunet_textguided.benchmark.bench import Bench, draw_batch
from nnunet_textguided.benchmark.loading import batches_ahead, stop
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
            tasks = {label: partial(loaded_epoch, one) if loaded else one.run_epoch for label, one in trainers.items()}
            return in_turns(tasks, bench.setting.effort.epochs)
    finally:
        with quiet(logger):
            for trainer in trainers.values():
                trainer.close()


def loaded_epoch(trainer: Any) -> float:
    """Train one epoch in the state that a long training has: no other loader at work, no reserve of batches to spend.

    nnU-Net keeps batches ready, more than a short epoch takes. They are drawn and dropped, and some steps that do not
    count follow: then as many are ready as the pace of this network leaves, none where it is faster than its loader.

    Args:
        trainer: Measured.

    Returns:
        Seconds of the epoch.
    """
    trainer.on_train_start()
    loaders = trainer.dataloader_val, trainer.dataloader_train  # that of training last: it shall have no time to refill
    try:
        for loader in loaders:
            for _ in range(batches_ahead(loader)):
                next(loader)
        trainer.settle(min(batches_ahead(trainer.dataloader_train), trainer.num_iterations_per_epoch))
        return trainer.run_epoch()
    finally:
        for loader in loaders:
            stop(loader)
