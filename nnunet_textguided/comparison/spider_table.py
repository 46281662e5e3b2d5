"""The score of the SPIDER challenge beside ours: structures matched by overlap, whatever level they are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from nnunet_textguided.comparison.system_rows import OWNER

GROUPS = ("vertebrae", "discs", "canal")
MEASURES = ("dice", "detection", "asd_mm", "asd_official_mm")


def spider_table(systems: Sequence[str], instances: pd.DataFrame, shifts: pd.DataFrame) -> pd.DataFrame | None:
    """Average as the challenge does: over the instances of a case, then over cases.

    Dice and ASD (mm) are of the instances that were detected, the detection rate of all true instances (van der Graaf
    et al. 2024, doi:10.1038/s41597-024-03090-w). A system's repeats are averaged case by case.

    Args:
        systems: Labels, in order.
        instances: Of all systems: OWNER, case, group, dice, detected, asd_mm, asd_official_mm.
        shifts: Of all systems: OWNER, case, shift (levels, NaN = undecided).

    Returns:
        A row a system: `<measure>_<group>_mean` and `_sd` over cases, `level_shift_share` (of the cases decided, mean
        over repeats), `level_shift_cases`, `level_shift_undecided` (cases a repeat). None where nothing was scored.
    """
    if instances.empty and shifts.empty:
        return None
    scores = _case_means(instances)
    return pd.DataFrame([{"system": s, **_scores_of(s, scores), **_shifts_of(s, shifts)} for s in systems])


def _case_means(instances: pd.DataFrame) -> pd.DataFrame:
    """Columns MEASURES by (system, group, case)."""
    keys = ["system", "group", "case"]
    if instances.empty:
        return pd.DataFrame(columns=[*keys, *MEASURES]).set_index(keys)
    detected = instances["detected"].astype(bool)
    known = instances.assign(detection=detected.astype(float))
    for column in ("dice", "asd_mm", "asd_official_mm"):
        known[column] = known[column].astype(float).where(detected)
    by_repeat = known.groupby([*OWNER, "group", "case"])[list(MEASURES)].mean()
    return by_repeat.groupby(level=keys).mean()


def _scores_of(system: str, scores: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for measure in MEASURES:
        for group in GROUPS:
            chosen = (scores.index.get_level_values(0) == system) & (scores.index.get_level_values(1) == group)
            values = scores.loc[chosen, measure].astype(float)
            row |= {f"{measure}_{group}_mean": values.mean(), f"{measure}_{group}_sd": values.std(ddof=1)}
    return row


def _shifts_of(system: str, shifts: pd.DataFrame) -> dict[str, float]:
    share = moved = undecided = float("nan")
    if len(shifts):
        own = shifts[shifts["system"] == system]
        decided = own[own["shift"].notna()]
        share = (decided["shift"] != 0).groupby(decided["repeat"]).mean().mean()
        by_repeat = own.groupby("repeat")["shift"]
        undecided = by_repeat.agg(lambda shift: shift.isna().sum()).mean()
        moved = by_repeat.agg(lambda shift: (shift.notna() & (shift != 0)).sum()).mean()
    return {"level_shift_share": share, "level_shift_cases": moved, "level_shift_undecided": undecided}
