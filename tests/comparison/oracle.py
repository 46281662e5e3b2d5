"""The toy result worked out again from its rows, with loops and the counts of voxels."""

from __future__ import annotations

import math

from toy_records import GRID

from nnunet_textguided.comparison.record import RunRecord

UPPER = ["T12", "T11", "T10", "T9", "T12/L1", "T11/T12", "T10/T11", "T9/T10"]
LOWER = ["S", "L5", "L4", "L3", "L2", "L1", "L5/S", "L4/L5", "L3/L4", "L2/L3", "L1/L2"]
GROUPS = {
    "vertebrae": ["S", "L5", "L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9"],
    "discs": ["L5/S", "L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1", "T11/T12", "T10/T11", "T9/T10"],
    "upper": UPPER,
    "lower": LOWER,
}
TRAINERS = {system.label: (system.trainer, system.plans) for system in GRID.systems}


def mean(values) -> float:
    values = [v for v in values if not math.isnan(v)]
    return math.fsum(values) / len(values) if values else math.nan


def sd(values) -> float:
    values = [v for v in values if not math.isnan(v)]
    if len(values) < 2:
        return math.nan
    centre = mean(values)
    return math.sqrt(math.fsum((v - centre) ** 2 for v in values) / (len(values) - 1))


def rows(records: list[RunRecord], system: str, plans: str) -> dict[str, list]:
    """Case -> rows of its structures, of one repeat."""
    trainer, found = TRAINERS[system][0], {}
    for record in records:
        if (record.run.trainer, record.run.plans) == (trainer, plans):
            for row in record.structures.to_dict("records"):
                found.setdefault(row["case"], []).append(row)
    return found


def score(row: dict, measure: str) -> float:
    """From the counts alone; NaN where the rules define nothing."""
    if row["status"] not in ("scored", "missed"):
        return math.nan
    tp, fp, fn = row["tp"], row["fp"], row["fn"]
    if measure == "iou":
        return tp / (tp + fp + fn)
    if measure == "dice":
        return tp / (tp + (fp + fn) / 2)
    if measure == "recall":
        return tp / (tp + fn)
    return row[measure]


def count(records, system: str, status: str, names: list[str]) -> float:
    """How often structures have a status, a repeat."""
    tables = [rows(records, system, plans) for plans in TRAINERS[system][1]]
    hits = [[r["status"] == status and r["structure"] in names for own in t.values() for r in own] for t in tables]
    return mean([sum(of_repeat) for of_repeat in hits])


def case_values(records, system: str, measure: str, names: list[str]) -> dict[str, float]:
    """Case -> mean over the repeats of the mean over structures."""
    tables = [rows(records, system, plans) for plans in TRAINERS[system][1]]
    return {
        case: mean([mean(score(r, measure) for r in own[case] if r["structure"] in names) for own in tables])
        for case in sorted(tables[0])
    }
