"""The score of the SPIDER challenge beside ours: structures matched by overlap, whatever level they are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from nnunet_textguided.comparison.spider_score import summarise_instances
from nnunet_textguided.comparison.system_rows import OWNER

OVERALL = "overall"
GROUPS = ("vertebrae", "discs", "canal", OVERALL)
MEASURES = ("dice", "detection", "asd_mm", "asd_official_mm")
COLUMNS = [f"{measure}_{group}" for measure in MEASURES for group in GROUPS]
"""Of `summarise_instances`."""
RULE = (
    "SPIDER's official score matches structures by overlap, whatever level they are called. Of a case: Dice of "
    "vertebrae and discs over the detected ones, of the canal and overall over all; the detection rate over all true "
    "structures; ASD (mm) over those with any overlap, and by the official code's order of spacings only where all "
    "have one. Then mean and standard deviation over cases. Level shift: of the cases decided, those named a level or "
    "more off."
)


def spider_table(systems: Sequence[str], instances: pd.DataFrame, shifts: pd.DataFrame) -> pd.DataFrame | None:
    """Average as the challenge does: over the structures of a case, then over cases; see RULE.

    Source: van der Graaf et al., Scientific Data 11, 264 (2024). A system's repeats are averaged case by case.

    Args:
        systems: Labels, in order.
        instances: Of all systems: OWNER, case, group, dice, detected, asd_mm, asd_official_mm.
        shifts: Of all systems: OWNER, case, shift (levels, NaN = undecided).

    Returns:
        A row a system: `<measure>_<group>_mean` and `_sd` over cases, `without_overlap` (structures a repeat),
        `level_shift_share` (of the cases decided, mean over repeats), `level_shift_cases`, `level_shift_undecided`
        (cases a repeat). None where nothing was scored.
    """
    if instances.empty and shifts.empty:
        return None
    scores = _case_means(instances)
    return pd.DataFrame([{"system": s, **_scores_of(s, scores, instances), **_shifts_of(s, shifts)} for s in systems])


def _case_means(instances: pd.DataFrame) -> pd.DataFrame:
    """Columns `<measure>_<group>` by (system, case), repeats averaged."""
    if instances.empty:
        return pd.DataFrame(columns=COLUMNS, index=pd.MultiIndex.from_arrays([[], []], names=["system", "case"]))
    parts = [
        summarise_instances(own).assign(**dict(zip(OWNER, owner, strict=True)))
        for owner, own in instances.groupby(OWNER, sort=False)
    ]
    return pd.concat(parts, ignore_index=True).groupby(["system", "case"])[COLUMNS].mean()


def _scores_of(system: str, scores: pd.DataFrame, instances: pd.DataFrame) -> dict[str, Any]:
    own = scores[scores.index.get_level_values("system") == system].astype(float)
    row: dict[str, Any] = {}
    for column in COLUMNS:
        row |= {f"{column}_mean": own[column].mean(), f"{column}_sd": own[column].std(ddof=1)}
    if len(instances):
        rows = instances[instances["system"] == system]
        row["without_overlap"] = rows["asd_mm"].isna().groupby(rows["repeat"]).sum().mean()
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
