"""How numbers and names stand in a Markdown table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from nnunet_textguided.comparison.finding_scores import PREFIX

NAMES = {
    "miou": "mIoU",
    "mdice": "mDice",
    "hd95_mm": "HD95 (mm)",
    "assd_mm": "ASSD (mm)",
    "asd_mm": "ASD (mm)",
    "asd_official_mm": "ASD, official code (mm)",
    "iou": "IoU",
    "dice": "Dice",
    "detection": "detection rate",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "fpr": "FPR",
    "level_shift_share": "share of cases with a level shift",
    "level_shift_undecided": "undecided cases",
    "seconds_per_epoch": "training (s per epoch)",
    "seconds_per_case": "inference (s per case)",
    "training_memory_mb": "peak memory, training (MB)",
    "inference_memory_mb": "peak memory, inference (MB)",
    "false_structures": "false structures",
}
"""How columns are called in print; others by their own name."""


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out cells as a Markdown table, the first column to the left and the others to the right.

    Args:
        head: Names of the columns.
        rows: Their cells.
    """
    cells = [[_safe(cell) for cell in row] for row in (head, *rows)]
    cells.insert(1, ["---", *["---:"] * (len(head) - 1)])
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def number(value: Any, digits: int = 3) -> str:
    """Write a number; - for what is not defined or was not measured.

    Args:
        value: A number, or None.
        digits: After the point.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.{digits}f}"


def p_value(value: float) -> str:
    """Write a P value with three digits.

    Args:
        value: 0 to 1, or NaN.
    """
    return "< 0.001" if value < 0.001 else number(value)


def label(measure: str) -> str:
    """Name a measure or column in print.

    Args:
        measure: Such as "miou", "dice_upper" or "finding_auroc".
    """
    if measure.startswith(PREFIX):
        return f"{label(measure.removeprefix(PREFIX))} of findings"
    for column in ("dice", "iou", "hd95_mm", "assd_mm"):
        if measure.startswith(f"{column}_"):
            return f"{NAMES[column]}, {measure.removeprefix(f'{column}_')}"
    return NAMES.get(measure, measure)


def mean_sd(mean: float, sd: float, digits: int = 3) -> str:
    """Write mean ± sd; - where there is no mean.

    Args:
        mean: Over cases.
        sd: Over cases, NaN for one.
        digits: After the point.
    """
    return f"{number(mean, digits)} ± {number(sd, digits)}" if mean == mean else "-"


def interval(row: dict[str, Any]) -> str:
    """Write a difference with its interval.

    Args:
        row: Of a table of statistics.
    """
    return value_with_limits(row["difference"], row["low"], row["high"])


def value_with_limits(value: float, low: float, high: float) -> str:
    """Write a value with the limits of its interval; - where it is not defined.

    Args:
        value: The value.
        low: Lower limit.
        high: Upper limit.
    """
    return f"{number(value)} ({number(low)} to {number(high)})" if value == value else "-"


def _safe(cell: str) -> str:
    """A pipe or a line break in a name would break the table."""
    return cell.replace("|", "\\|").replace("\n", " ")
