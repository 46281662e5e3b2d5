from __future__ import annotations

import math

import pandas as pd
import pytest
from oracle import TRAINERS, mean, sd

from nnunet_textguided.comparison.spider_table import spider_table

EXACT = 1e-10


def of_repeats(records, system: str, table: str) -> list[pd.DataFrame]:
    trainer, plans = TRAINERS[system]
    own = [[getattr(r, table) for r in records if (r.run.trainer, r.run.plans) == (trainer, p)] for p in plans]
    return [pd.concat(part, ignore_index=True) for part in own]


@pytest.mark.parametrize("system", list(TRAINERS))
def test_means_over_instances_then_repeats_then_cases(comparison, records, system):
    row = comparison.spider.set_index("system").loc[system]
    tables = [table.to_dict("records") for table in of_repeats(records, system, "instances")]
    for group in ("vertebrae", "discs", "canal", "overall"):
        for measure in ("dice", "detection", "asd_mm", "asd_official_mm"):
            values = []
            for case in sorted({r["case"] for r in tables[0]}):
                own = [[r for r in t if r["case"] == case and group in (r["group"], "overall")] for t in tables]
                values.append(mean([case_mean(rows, measure, group) for rows in own]))
            assert row[f"{measure}_{group}_mean"] == pytest.approx(mean(values), abs=EXACT)
            assert row[f"{measure}_{group}_sd"] == pytest.approx(sd(values), abs=EXACT)
    lost = [sum(r["dice"] == 0 for r in table) for table in tables]
    assert row["without_overlap"] == pytest.approx(mean(lost), abs=EXACT)


def case_mean(rows: list[dict], measure: str, group: str) -> float:
    if measure == "detection":
        return sum(r["detected"] for r in rows) / len(rows)
    if measure == "dice":
        return mean(r["dice"] for r in rows if r["detected"] or group in ("canal", "overall"))
    if measure == "asd_official_mm" and any(math.isnan(r[measure]) for r in rows):
        return math.nan
    return mean(r[measure] for r in rows)


@pytest.mark.parametrize("system", list(TRAINERS))
def test_level_shifts_are_shares_of_the_cases_decided(comparison, records, system):
    row = comparison.spider.set_index("system").loc[system]
    shares, moved, undecided = [], [], []
    for table in of_repeats(records, system, "shifts"):
        known = [shift for shift in table["shift"] if not math.isnan(shift)]
        moved.append(sum(shift != 0 for shift in known))
        shares.append(moved[-1] / len(known))
        undecided.append(20 - len(known))
    assert row["level_shift_share"] == pytest.approx(mean(shares), abs=EXACT)
    assert row["level_shift_cases"] == pytest.approx(mean(moved), abs=EXACT)
    assert row["level_shift_undecided"] == pytest.approx(mean(undecided), abs=EXACT) == 3


def instances(detected: list[bool]) -> pd.DataFrame:
    rows = [("A", "p", "c", "discs", 0.8, hit, 1.0, 2.0) for hit in detected]
    columns = ["system", "repeat", "case", "group", "dice", "detected", "asd_mm", "asd_official_mm"]
    return pd.DataFrame(rows, columns=columns)


def shifts(values: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"system": "A", "repeat": "p", "case": [f"c{k}" for k in range(len(values))], "shift": values})


def test_nothing_detected_has_a_rate_of_zero_and_no_dice():
    row = spider_table(["A"], instances([False, False]), shifts([0.0])).iloc[0]
    assert row["detection_discs_mean"] == 0
    assert math.isnan(row["dice_discs_mean"])
    assert math.isnan(row["detection_vertebrae_mean"])  # none in the truth


def test_a_canal_that_overlaps_little_still_has_its_dice():
    canal = instances([False]).assign(group="canal")
    assert spider_table(["A"], canal, shifts([0.0])).iloc[0]["dice_canal_mean"] == 0.8


def test_nothing_decided_has_no_share():
    row = spider_table(["A"], instances([True]), shifts([math.nan, math.nan])).iloc[0]
    assert math.isnan(row["level_shift_share"])
    assert row["level_shift_undecided"] == 2


def test_a_shift_either_way_counts():
    row = spider_table(["A"], instances([True]), shifts([-1.0, 2.0, 0.0, 0.0, math.nan])).iloc[0]
    assert (row["level_shift_share"], row["level_shift_cases"], row["level_shift_undecided"]) == (0.5, 2, 1)


def test_no_tables_no_score():
    assert spider_table(["A"], pd.DataFrame(), pd.DataFrame()) is None
