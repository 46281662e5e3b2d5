"""The findings' table that `evaluate` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnunet_textguided.evaluation.finding_evaluation import FindingEvaluation

COLUMNS = ("auroc", "average_precision", "recall", "fpr", "precision", "f1")


def finding_lines(result: FindingEvaluation) -> list[str]:
    """Lay out the scores of findings.

    Args:
        result: What the evaluation found.
    """
    from nnunet_textguided.evaluation.finding_evaluation import RULES

    width = max(len(str(name)) for name in result.scores.index) + 2
    head = f"{'finding':<{width}}{'n':>6}{'present':>9}{'AUROC':>8}{'95 % interval':>16}"
    lines = ["", head + f"{'AP':>8}{'recall':>8}{'FPR':>8}{'precision':>11}{'F1':>8}"]
    lines += [_line(str(name), row, width) for name, row in result.scores.iterrows()]
    lines += ["", f"thresholds: {result.thresholds}"]
    if result.points is not None:
        p = result.points
        lines.append(
            f"point rule: {p['hits']:.0f} hits, {p['missed']:.0f} missed, {p['false']:.0f} false; "
            f"recall {_number(p['recall'])}, precision {_number(p['precision'])}"
        )
    return [*lines, "", "Rules of findings:", *(f"- {rule}" for rule in RULES)]


def _line(name: str, row: Any, width: int) -> str:
    interval = f"{_number(row['auroc_low'])}..{_number(row['auroc_high'])}"
    values = [_number(row[column]) for column in COLUMNS]
    widths = (8, 8, 8, 8, 11, 8)
    cells = [f"{value:>{w}}" for value, w in zip(values, widths, strict=True)]
    return f"{name:<{width}}{row['n']:>6.0f}{row['n_present']:>9.0f}{cells[0]}{interval:>16}" + "".join(cells[1:])


def _number(value: float) -> str:
    return "-" if value != value else f"{value:.3f}"
