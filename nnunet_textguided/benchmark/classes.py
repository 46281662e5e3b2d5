"""What the number of classes costs: seconds of a step, and the share of query decoder and masks."""

from __future__ import annotations

from nnunet_textguided.benchmark.bench import Bench, relabelled
from nnunet_textguided.benchmark.measurement import Measurement
from nnunet_textguided.benchmark.roles import has_query_head
from nnunet_textguided.benchmark.shares import HEAD_SHARE, share_rows
from nnunet_textguided.benchmark.steps import step_rows, time_steps

PART = "classes"


def measure_classes(bench: Bench) -> list[Measurement]:
    """Measure steps at several numbers of classes, for the encoders that are asked for.

    The reference has no such encoder and is measured anew with each, in turns with the others.

    Args:
        bench: Builds the trainers.
    """
    rows = []
    for encoder in bench.setting.encoders or (None,):
        for classes in bench.setting.classes:
            rows += _at(bench, classes, encoder)
    return rows


def _at(bench: Bench, classes: int, encoder: str | None) -> list[Measurement]:
    setting = bench.setting
    trainers = {}
    for system in setting.systems:
        trainer = bench.build(system, classes, encoder)
        trainer.fixed_batch = relabelled(bench.trainer(system).fixed_batch, classes)
        trainers[system.label] = trainer
    named = encoder or next(filter(None, map(setting.encoder_of, setting.systems)), None)
    at = {"classes": classes, "queries": classes + 1, "encoder": named}
    rows = step_rows(PART, time_steps(bench, trainers), bench, at)
    for system in setting.systems:
        trainer = trainers[system.label]
        if has_query_head(trainer):
            if trainer._do_i_compile():
                trainer = bench.eager_trainer(system, classes, encoder)
            shares = share_rows(PART, system.label, trainer, setting.effort, at)
            rows += [row for row in shares if row.quantity == HEAD_SHARE]
    return rows
