"""ROC and precision-recall curves of the findings: pooled, and finding by finding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from nnunet_textguided.comparison.figures.illustration import Illustration
from nnunet_textguided.comparison.figures.style import (
    FONT_SIZE,
    SOFT,
    WIDTH,
    SystemStyle,
    legend_above,
    line_handle,
    literal,
    new_figure,
    system_styles,
    tidy,
)

if TYPE_CHECKING:
    from nnunet_textguided.comparison.comparison import Comparison

_PER_ROW = 3
_READING = (
    "A line a training (thin lines: repeats); the legend gives the mean area under the ROC curve (AUROC) and the mean "
    "average precision (AP) of the repeats. Markers: the operating points in use. Dotted: chance."
)


def finding_curves(comparison: Comparison) -> list[Illustration]:
    """Draw the curves of all decisions pooled, and of every finding where there are several.

    Args:
        comparison: Its `decisions` may be None.

    Returns:
        No figure where nothing was decided.
    """
    decisions = comparison.decisions
    decisions = None if decisions is None else decisions[decisions["truth"].notna()]
    if decisions is None or decisions.empty:
        return []
    labels = [system.label for system in comparison.grid.systems]
    styles = {label: style for label, style in system_styles(labels).items() if label in set(decisions["system"])}
    findings = list(dict.fromkeys(decisions["finding"]))
    drawn = [_pooled(decisions, styles)]
    if len(findings) > 1:
        drawn.append(_each(decisions, styles, findings))
    return drawn


def _pooled(decisions: pd.DataFrame, styles: dict[str, SystemStyle]) -> Illustration:
    figure = new_figure(5.2)
    left, right = figure.subplots(1, 2)
    _draw(left, right, decisions, styles, legends=True)
    n = len(decisions.drop_duplicates(["case", "structure", "finding"]))
    return Illustration(
        "findings_pooled",
        "findings",
        "ROC and precision-recall curves, all findings pooled",
        f"All findings pooled, {n} assessed decisions. {_READING}",
        f"Curves of {', '.join(styles)}; the tables of findings give areas and operating points.",
        figure,
    )


def _each(decisions: pd.DataFrame, styles: dict[str, SystemStyle], findings: Sequence[str]) -> Illustration:
    columns = min(_PER_ROW, len(findings))
    blocks = math.ceil(len(findings) / columns)
    figure = new_figure(blocks * 2 * WIDTH / _PER_ROW + 0.4)
    panels = figure.subplots(2 * blocks, columns, squeeze=False)
    for number in range(blocks * columns):
        block, column = divmod(number, columns)
        left, right = panels[2 * block, column], panels[2 * block + 1, column]
        if number >= len(findings):
            left.set_visible(False)
            right.set_visible(False)
            continue
        own = decisions[decisions["finding"] == findings[number]]
        _draw(left, right, own, styles, legends=len(styles) <= 4)
        left.set_title(literal(findings[number]), fontsize=FONT_SIZE + 1, loc="left")
    legend_above(figure, [line_handle(label, style) for label, style in styles.items()])
    return Illustration(
        "findings_each",
        "findings",
        "ROC and precision-recall curves of every finding",
        f"Above the ROC, below the precision-recall curve of every finding. {_READING}",
        f"Curves of {', '.join(findings)} for {', '.join(styles)}; the tables give areas and operating points.",
        figure,
    )


def _draw(
    left: Axes, right: Axes, decisions: pd.DataFrame, styles: dict[str, SystemStyle], legends: bool = False
) -> None:
    """Draw ROC on the left and precision-recall on the right axes."""
    prevalence = decisions.drop_duplicates(["case", "structure", "finding"])["truth"].mean()
    left.plot([0, 1], [0, 1], color=SOFT, linestyle=":", linewidth=1)
    right.axhline(prevalence, color=SOFT, linestyle=":", linewidth=1)
    handles: dict[str, list[Line2D]] = {"AUROC": [], "AP": []}
    for label, style in styles.items():
        repeats = [part for _, part in decisions[decisions["system"] == label].groupby("repeat", sort=True)]
        areas = [_curves(left, right, part, style, thin=len(repeats) > 1) for part in repeats]
        for name, values in zip(handles, zip(*areas, strict=True), strict=True):
            known = [value for value in values if not math.isnan(value)]
            mean = f"{np.mean(known):.3f}" if known else "not defined"
            handles[name].append(line_handle(f"{label}: {name} {mean}", style))
    for axes, name, words in ((left, "AUROC", ("FPR", "recall")), (right, "AP", ("recall", "precision"))):
        tidy(axes, grid="both")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set_xlabel(words[0], fontsize=FONT_SIZE)
        axes.set_ylabel(words[1], fontsize=FONT_SIZE)
        if legends and handles[name]:
            place: Literal["lower right", "lower left"] = "lower right" if name == "AUROC" else "lower left"
            axes.legend(handles=handles[name], loc=place, fontsize=FONT_SIZE - 2, framealpha=0.85, edgecolor="none")


def _curves(left: Axes, right: Axes, part: pd.DataFrame, style: SystemStyle, thin: bool) -> tuple[float, float]:
    """Draw a training's two curves and its operating point; return AUROC and average precision, NaN if undefined."""
    truth, probability = part["truth"].to_numpy().astype(int), part["probability"].to_numpy()
    if len(set(truth)) < 2:
        return math.nan, math.nan
    line = {**style.line, "linewidth": 0.9 if thin else 1.8, "alpha": 0.8 if thin else 1}
    fpr, recall, _ = roc_curve(truth, probability)
    left.plot(fpr, recall, **line)
    precision, found, _ = precision_recall_curve(truth, probability)
    right.plot(found, precision, drawstyle="steps-post", **line)
    called = part["positive"].to_numpy().astype(bool)
    hits, alarms = np.sum(called & (truth == 1)), np.sum(called & (truth == 0))
    left.plot([alarms / np.sum(truth == 0)], [hits / np.sum(truth == 1)], **style.dots, markersize=5)
    if called.any():
        right.plot([hits / np.sum(truth == 1)], [hits / called.sum()], **style.dots, markersize=5)
    return roc_auc_score(truth, probability), average_precision_score(truth, probability)
