"""The comparison as one Markdown text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from nnunet_textguided.comparison.case_scores import HEADLINE, group_measure
from nnunet_textguided.comparison.comparison import Comparison
from nnunet_textguided.comparison.cost_table import COSTS, DEVICES
from nnunet_textguided.comparison.finding_scores import MEASURES as FINDING_MEASURES
from nnunet_textguided.comparison.finding_scores import PREFIX
from nnunet_textguided.comparison.markdown_cells import (
    interval,
    markdown_table,
    mean_sd,
    value_with_limits,
)
from nnunet_textguided.comparison.measure_words import NOTHING, measure_name, number, p_value
from nnunet_textguided.comparison.rules import caption
from nnunet_textguided.comparison.spider_table import GROUPS
from nnunet_textguided.files import atomic_path, without_nan

_TAG = re.compile(r"<(?=[A-Za-z/!?])")
"""Where a name would begin an HTML tag, which Markdown passes on."""


def write_markdown(comparison: Comparison, path: Path) -> Path:
    """Write `to_markdown` to a file.

    Args:
        comparison: What was found.
        path: The file.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(to_markdown(comparison), encoding="utf-8")
    return path


def to_markdown(comparison: Comparison) -> str:
    """Lay out all tables, each with the number of cases and the rule for empty structures under it.

    Args:
        comparison: What was found.
    """
    under = f"*{caption(len(comparison.cases))}*"
    parts = [f"# {comparison.grid.title}", _introduction(comparison), *(f"**{note}**" for note in comparison.notes)]
    for title, lines in _sections(comparison):
        parts += [f"## {title}", lines, under]
    parts += ["## Rules", "\n".join(f"- {rule}" for rule in comparison.rules)]
    parts = [_TAG.sub(r"\\<", part) for part in parts]
    provenance = json.dumps(without_nan(comparison.provenance), indent=2)
    parts += ["## Provenance", f"```json\n{provenance}\n```"]
    return "\n\n".join(parts) + "\n"


def _introduction(comparison: Comparison) -> str:
    folds = ", ".join(map(str, comparison.grid.folds))
    lines = [f"Folds {folds}; {len(comparison.cases)} cases; compared with {comparison.reference}.", ""]
    lines += [
        f"- {system.label}: `{system.trainer}` with {', '.join(f'`{plans}`' for plans in system.plans)}"
        for system in comparison.grid.systems
    ]
    return "\n".join(lines)


def _sections(comparison: Comparison) -> Iterable[tuple[str, str]]:
    yield "Overall", _overall(comparison.overall)
    if len(comparison.statistics):
        yield (
            f"{comparison.reference} against the others (difference = {comparison.reference} - other)",
            _statistics(comparison.statistics),
        )
    yield "Structures (Dice)", _by_system(comparison.structures, "structure", "dice", "dice_sd")
    yield "Structures (IoU)", _by_system(comparison.structures, "structure", "iou", "iou_sd")
    yield "Groups (Dice)", _by_system(comparison.groups, "group", "dice_mean", "dice_sd")
    yield "Groups (HD95, mm)", _by_system(comparison.groups, "group", "hd95_mm_mean", "hd95_mm_sd", 1)
    if len(comparison.upper_lower):
        yield "Upper against lower structures (Dice)", _upper_lower(comparison.upper_lower)
    if comparison.findings is not None:
        yield "Findings", _findings(comparison.findings)
    yield "Costs", _costs(comparison.costs)
    if comparison.spider is not None:
        yield "Score of the SPIDER challenge", _spider(comparison.spider)


def _overall(table: pd.DataFrame) -> str:
    means = [("miou", 3), ("mdice", 3), ("hd95_mm", 1), ("assd_mm", 2), ("recall", 3)]
    findings = [f"{PREFIX}{measure}" for measure in FINDING_MEASURES if f"{PREFIX}{measure}" in table]
    head = ["system", "repeats", *(measure_name(name) for name, _ in means), "sd of the repeats' mIoU"]
    head += ["missed", "false structures", *(measure_name(name) for name in findings)]
    rows = [
        [
            *(row["system"], str(row["repeats"])),
            *(mean_sd(row[f"{name}_mean"], row[f"{name}_sd"], digits) for name, digits in means),
            *(number(row["miou_repeats_sd"]), number(row["missed"], 1), number(row["false_structures"], 1)),
            *(number(row[name]) for name in findings),
        ]
        for row in table.to_dict("records")
    ]
    return markdown_table(head, rows)


def _statistics(table: pd.DataFrame) -> str:
    head = ["measure", "against", "n", "difference (95 % interval)", "Wilcoxon P", "Holm", "paired t P", "Holm"]
    head += ["bootstrap P", "Holm", "d_z", "Cohen's d"]
    rows = []
    for row in table[table["measure"].map(_is_printed)].to_dict("records"):
        left_out = f" ({row['dropped']} dropped)" if row["dropped"] else ""
        p_values = [f"{name}{holm}" for name in ("wilcoxon_p", "t_p", "bootstrap_p") for holm in ("", "_holm")]
        rows.append(
            [
                *(measure_name(row["measure"]), row["system"], f"{row['n']}{left_out}", interval(row)),
                *(p_value(row[name]) for name in p_values),
                *(number(row["d_z"], 2), number(row["cohens_d"], 2)),
            ]
        )
    return markdown_table(head, rows)


def _is_printed(measure: str) -> bool:
    """IoU and distances of groups follow their Dice closely: they are in statistics.csv, not in print."""
    return measure in HEADLINE.values() or measure.startswith((PREFIX, group_measure("dice", "")))


def _by_system(table: pd.DataFrame, key: str, mean: str, sd: str, digits: int = 3) -> str:
    """A row a structure or group, a column a system."""
    systems, keys = list(dict.fromkeys(table["system"])), list(dict.fromkeys(table[key]))
    cells = {(row["system"], row[key]): mean_sd(row[mean], row[sd], digits) for row in table.to_dict("records")}
    return markdown_table([key, *systems], [[name, *(cells[system, name] for system in systems)] for name in keys])


def _upper_lower(table: pd.DataFrame) -> str:
    head = [
        "system",
        "n",
        "upper",
        "lower",
        "difference (95 % interval)",
        "Wilcoxon P",
        "paired t P",
        "d_z",
        "Cohen's d",
    ]
    rows = [
        [
            *(row["system"], str(row["n"])),
            *(mean_sd(row[f"{side}_mean"], row[f"{side}_sd"]) for side in ("upper", "lower")),
            *(interval(row), p_value(row["wilcoxon_p"]), p_value(row["t_p"])),
            *(number(row["d_z"], 2), number(row["cohens_d"], 2)),
        ]
        for row in table.to_dict("records")
    ]
    return markdown_table(head, rows)


def _findings(table: pd.DataFrame) -> str:
    head = ["finding", "system", "n", "present", *(measure_name(measure) for measure in FINDING_MEASURES)]
    rows = [
        [
            *(row["finding"], row["system"], str(row["n"]), str(row["n_present"])),
            *(value_with_limits(row[m], row[f"{m}_low"], row[f"{m}_high"]) for m in FINDING_MEASURES),
        ]
        for row in table.to_dict("records")
    ]
    return markdown_table(head, sorted(rows, key=lambda row: list(table["finding"]).index(row[0])))


def _costs(table: pd.DataFrame) -> str:
    rows = [
        [
            row["system"],
            *(number(row[name], 0 if name in ("parameters", "iterations") else 1) for name in COSTS),
            *(row[name] or NOTHING for name in DEVICES),
        ]
        for row in table.to_dict("records")
    ]
    return markdown_table(["system", *map(measure_name, (*COSTS, *DEVICES))], rows)


def _spider(table: pd.DataFrame) -> str:
    """A row a measure, a column a system."""
    systems, rows = table.to_dict("records"), []
    for measure, digits in {"dice": 3, "detection": 3, "asd_mm": 2, "asd_official_mm": 2}.items():
        for kind in (f"{measure}_{group}" for group in GROUPS):
            cells = [mean_sd(row[f"{kind}_mean"], row[f"{kind}_sd"], digits) for row in systems]
            rows.append([measure_name(kind), *cells])
    counts = {"without_overlap": 1, "level_shift_share": 3, "level_shift_cases": 1, "level_shift_undecided": 1}
    for name, digits in counts.items():
        rows.append([measure_name(name), *(number(row.get(name), digits) for row in systems)])
    return markdown_table(["measure", *(row["system"] for row in systems)], rows)
