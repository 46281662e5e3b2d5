"""How pages and figures name and print measures: names, units, directions, digits."""

from __future__ import annotations

import math
from typing import Any

NOTHING = "-"
"""Printed where there is no value: not measured, or not defined."""

FINDING = "finding_"
"""What names of measures of findings begin with."""
_NAMES = {
    "miou": "mIoU",
    "mdice": "mDice",
    "iou": "IoU",
    "dice": "Dice",
    "hd95_mm": "HD95 (mm)",
    "assd_mm": "ASSD (mm)",
    "asd_mm": "ASD (mm)",
    "asd_official_mm": "ASD, official code (mm)",
    "detection": "detection rate",
    "auroc": "AUROC",
    "fpr": "FPR",
    "level_shift_share": "share of cases with a level shift",
    "level_shift_cases": "cases with a level shift",
    "level_shift_undecided": "undecided cases",
    "without_overlap": "structures without any overlap",
    "seconds_per_epoch": "training (s per epoch)",
    "training_minutes": "training (minutes)",
    "seconds_per_case": "inference (s per case)",
    "training_memory_mb": "peak memory, training (MB)",
    "inference_memory_mb": "peak memory, inference (MB)",
    "device": "device of training",
    "inference_device": "device of inference",
}


def measure_name(measure: str) -> str:
    """Return a measure in words: hd95_mm is "HD95 (mm)", dice_upper is "Dice, upper".

    Args:
        measure: Name of a measure, after `finding_` where it is of findings, before a group of structures where it is
            of one.
    """
    if measure.startswith(FINDING):
        return f"{measure_name(measure.removeprefix(FINDING))} of findings"
    for key, name in _NAMES.items():
        if measure == key:
            return name
        if measure.startswith(f"{key}_"):
            return f"{name}, {measure.removeprefix(f'{key}_').replace('_', ' ')}"
    return measure.replace("_", " ")


def lower_is_better(measure: str) -> bool:
    """Return whether the better system has the lower value: distances and false positives.

    Args:
        measure: A measure's name.
    """
    return "_mm" in measure or measure.removeprefix(FINDING) == "fpr"


def is_missing(value: Any) -> bool:
    """Return whether a value is None or NaN.

    Args:
        value: Of a table's cell.
    """
    return value is None or (isinstance(value, float) and math.isnan(value))


def number(value: Any, digits: int = 3) -> str:
    """Print a number, or NOTHING.

    Args:
        value: A number, None or NaN.
        digits: After the point.
    """
    if is_missing(value):
        return NOTHING
    text = f"{float(value):.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text  # no -0.000


def p_value(value: Any) -> str:
    """Print a P value with three digits, smaller ones as < 0.001.

    Args:
        value: 0 to 1, None or NaN.
    """
    return "< 0.001" if not is_missing(value) and value < 0.001 else number(value, 3)


def digits_of(measure: str) -> int:
    """Return how many digits a measure is printed with: two for mm, three for shares.

    Args:
        measure: A measure's name.
    """
    return 2 if "_mm" in measure else 3
