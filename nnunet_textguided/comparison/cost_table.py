"""What each system costs: a mean over its runs of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nnunet_textguided.comparison.record import RunRecord

COSTS = ("parameters", "seconds_per_epoch", "seconds_per_case", "training_memory_mb", "inference_memory_mb")


def cost_table(records: Mapping[str, Sequence[RunRecord]]) -> pd.DataFrame:
    """Return a row a system.

    Args:
        records: System -> its records, of all repeats and folds.

    Returns:
        Columns system, COSTS (mean over the runs that measured it, None if none did) and device (all that occur).
    """
    rows = []
    for system, own in records.items():
        row: dict[str, Any] = {"system": system}
        for cost in COSTS:
            measured = [record.costs[cost] for record in own if record.costs.get(cost) is not None]
            row[cost] = sum(measured) / len(measured) if measured else None
        devices = dict.fromkeys(str(record.costs["device"]) for record in own if record.costs.get("device"))
        rows.append({**row, "device": ", ".join(devices) or None})
    return pd.DataFrame(rows, dtype=object)
