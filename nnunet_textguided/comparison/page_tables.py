"""Which tables a page has, and their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from nnunet_textguided.comparison.figures.structure_boxes import level_order
from nnunet_textguided.comparison.frame_table import frame_table, rules_below
from nnunet_textguided.comparison.html_table import Column, Row, Table, count, interval, probability, value, words
from nnunet_textguided.comparison.measure_words import digits_of, is_missing, measure_name, number
from nnunet_textguided.comparison.page_statistics import (
    EFFECT_SIZES,
    HEADLINE,
    is_of_findings,
    is_of_group,
    statistics_table,
)

if TYPE_CHECKING:
    from nnunet_textguided.comparison.comparison import Comparison

_SYSTEM = ("system", words("system"))
_COUNTS = (("missed", count("missed")), ("false_structures", count("false_structures", "false structures")))
_STRUCTURE_MEASURES = ("iou", "dice", "hd95_mm", "assd_mm")


def segmentation_tables(comparison: Comparison) -> list[Table]:
    """Return the systems, their headline numbers, and the paired statistics of these.

    Args:
        comparison: What was compared.
    """
    frame = comparison.overall
    named = [_SYSTEM, ("trainer", words("trainer")), ("plans", words("plans")), ("repeats", count("repeats"))]
    columns = [
        _SYSTEM,
        ("cases", count("cases")),
        *((f"{m}_mean", _mean(f"{m}_mean", m, f"{m}_sd")) for m in HEADLINE),
        ("miou_repeats_sd", value("miou_repeats_sd", "mIoU: SD of repeats")),
        *_COUNTS,
    ]
    return [
        frame_table(comparison, "Systems", named, frame),
        frame_table(comparison, "Segmentation: mean ± standard deviation over cases", columns, frame),
        *statistics_table(comparison, "Paired statistics", HEADLINE.__contains__),
    ]


def structure_tables(comparison: Comparison) -> list[Table]:
    """Return groups, upper against lower, and a table a measure with a row a structure.

    Args:
        comparison: What was compared.
    """
    groups, upper_lower, tables = comparison.groups, comparison.upper_lower, []
    if groups is not None and not groups.empty:
        columns = [
            ("group", words("group")),
            _SYSTEM,
            ("cases", count("cases")),
            *((f"{m}_mean", _mean(f"{m}_mean", m, f"{m}_sd")) for m in _STRUCTURE_MEASURES),
            *_COUNTS,
        ]
        tables.append(frame_table(comparison, "Groups of structures", columns, _by(groups, "group")))
    tables += statistics_table(comparison, "Paired statistics of groups", is_of_group)
    if upper_lower is not None and not upper_lower.empty:
        columns = [
            _SYSTEM,
            ("n", count("n", "cases")),
            ("upper_mean", value("upper_mean", "Dice, upper", sd="upper_sd")),
            ("lower_mean", value("lower_mean", "Dice, lower", sd="lower_sd")),
            ("difference", interval("upper minus lower (95 % interval)", "low", "high", mean="difference")),
            ("wilcoxon_p", probability("wilcoxon_p", "Wilcoxon P")),
            ("t_p", probability("t_p", "t test P")),
            *EFFECT_SIZES,
        ]
        tables.append(frame_table(comparison, "Dice of upper against lower structures", columns, upper_lower))
    return [*tables, *(_pivot(comparison, m) for m in _STRUCTURE_MEASURES if m in comparison.structures.columns)]


def finding_tables(comparison: Comparison) -> list[Table]:
    """Return a row a finding and system; nothing where no system decides on findings.

    Args:
        comparison: What was compared.
    """
    frame = comparison.findings
    if frame is None or frame.empty:
        return []
    measures = ("auroc", "average_precision", "recall", "fpr", "precision")
    columns = [
        ("finding", words("finding")),
        _SYSTEM,
        ("n", count("n", "decisions")),
        ("n_present", count("n_present", "present")),
        *((m, interval(measure_name(m), f"{m}_low", f"{m}_high", mean=m)) for m in measures),
    ]
    return [
        frame_table(comparison, "Findings (95 % interval)", columns, _by(frame, "finding")),
        *statistics_table(comparison, "Statistics of all findings", is_of_findings),
    ]


def spider_tables(comparison: Comparison) -> list[Table]:
    """Return SPIDER's official scores and level shifts: a row a measure, a column a system.

    Args:
        comparison: What was compared.
    """
    frame = comparison.spider
    if frame is None or frame.empty:
        return []
    of_system = frame.set_index("system").to_dict("index")
    keys = [key for key in frame.columns if key != "system" and not key.endswith("_sd") and frame[key].notna().any()]

    def column(label: str) -> Column:
        def text(row: Row) -> str:
            key, values = row["key"], of_system.get(label, {})
            if key.endswith(("_cases", "_undecided")):
                return count(key).text(values)
            return value(key, "", digits_of(key), sd=f"{key.removesuffix('_mean')}_sd").text(values)

        return Column(label, text)

    rows = [{"key": key, "measure": measure_name(key.removesuffix("_mean"))} for key in keys]
    title = "SPIDER's official score (structures matched by overlap, whatever level they are called) and level shifts"
    return [Table(title, [words("measure"), *map(column, of_system)], rows, rules=rules_below(comparison))]


def cost_tables(comparison: Comparison) -> list[Table]:
    """Return what a system costs.

    Args:
        comparison: What was compared.
    """
    frame = comparison.costs
    if frame is None or frame.empty:
        return []
    millions = Column("parameters (million)", lambda row: number(_scaled(row.get("parameters"), 1e-6), 2))
    columns = [
        _SYSTEM,
        ("parameters", millions),
        ("iterations", value("iterations", "iterations", 0)),
        ("seconds_per_epoch", value("seconds_per_epoch", "training, s per epoch", 1)),
        ("training_minutes", value("training_minutes", "training, minutes", 0)),
        ("seconds_per_case", value("seconds_per_case", "inference, s per case", 2)),
        ("training_memory_mb", value("training_memory_mb", "peak memory in training (MB)", 0)),
        ("inference_memory_mb", value("inference_memory_mb", "peak memory at inference (MB)", 0)),
        ("device", words("device", "device of training")),
        ("inference_device", words("inference_device", "device of inference")),
    ]
    return [frame_table(comparison, "Costs", columns, frame, keep_empty=True)]


def _pivot(comparison: Comparison, measure: str) -> Table:
    """A row a structure, a column a system: distances with the number of missed structures, which have none."""
    frame, labels = comparison.structures, [system.label for system in comparison.grid.systems]
    cells = {(row["system"], row["structure"]): row for row in frame.to_dict("records")}
    digits, is_distance = digits_of(measure), measure.endswith("_mm")

    def column(label: str) -> Column:
        def text(row: Row) -> str:
            cell = cells.get((label, row["structure"]), {})
            shown = value(measure, "", digits, sd=f"{measure}_sd").text(cell)
            missed = cell.get("missed", 0)
            return f"{shown} ({count('missed').text(cell)} missed)" if is_distance and missed else shown

        return Column(label, text)

    structures = level_order(list(dict.fromkeys(frame["structure"])))
    rows = [{"structure": name, "n": cells.get((comparison.reference, name), {}).get("n")} for name in structures]
    columns = [words("structure"), count("n", "cases"), *map(column, labels)]
    title = f"{measure_name(measure)} by structure: mean ± standard deviation over cases"
    return Table(title, columns, rows, rules=rules_below(comparison))


def _by(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    """Rows of the same key together, in the order they first come in; a system before the next within."""
    order = {name: number for number, name in enumerate(dict.fromkeys(frame[key]))}
    return frame.sort_values(key, key=lambda names: names.map(order), kind="stable")


def _mean(key: str, measure: str, sd: str) -> Column:
    return value(key, measure_name(measure), digits_of(measure), sd=sd)


def _scaled(amount: Any, factor: float) -> Any:
    return None if is_missing(amount) else amount * factor
