"""What each system costs: a mean over its runs of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nnunet_textguided.comparison.record import RunRecord

COSTS = (
    *("parameters", "iterations", "seconds_per_epoch", "training_minutes", "seconds_per_case"),
    *("training_memory_mb", "inference_memory_mb"),
)
DEVICES = ("device", "inference_device")


def cost_table(records: Mapping[str, Sequence[RunRecord]]) -> pd.DataFrame:
    """Return a row a system.

    Args:
        records: System -> its records, of all repeats and folds.

    Returns:
        Columns system, COSTS (mean over the runs that measured it, None if none did) and DEVICES of training and of
        prediction (all that occur). training_minutes are epochs times the median seconds of one, so that an
        interruption does not count; validation is not part of it.
    """
    rows = []
    for system, own in records.items():
        costs = [_with_minutes(record.costs) for record in own]
        row: dict[str, Any] = {"system": system}
        for name in COSTS:
            measured = [cost[name] for cost in costs if cost.get(name) is not None]
            row[name] = sum(measured) / len(measured) if measured else None
        for name in DEVICES:
            row[name] = ", ".join(dict.fromkeys(str(cost[name]) for cost in costs if cost.get(name))) or None
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def _with_minutes(costs: Mapping[str, Any]) -> dict[str, Any]:
    epochs, seconds = costs.get("epochs"), costs.get("seconds_per_epoch")
    return {**costs, "training_minutes": None if epochs is None or seconds is None else epochs * seconds / 60}
