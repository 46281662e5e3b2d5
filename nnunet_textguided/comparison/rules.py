"""The sentences that every table is to be read by."""

from __future__ import annotations

from collections.abc import Sequence

from nnunet_textguided.comparison.finding_scores import thresholds_text
from nnunet_textguided.comparison.groups import Cut
from nnunet_textguided.evaluation.finding_evaluation import RULES as FINDING_RULES
from nnunet_textguided.evaluation.summary import RULES as SCORE_RULES

EMPTY = (
    "A structure in the truth but not in the prediction scores 0 (missed; HD95 and ASSD are not defined and enter no "
    "mean); a structure in neither is not counted; one in the prediction alone is counted as false and enters no mean "
    "of IoU, Dice or recall."
)


def caption(cases: int) -> str:
    """The shortest that must stand under any table: the number of cases and the rule for empty structures.

    Args:
        cases: Number of cases.
    """
    return f"{cases} case{'' if cases == 1 else 's'}. {EMPTY}"


def rules(
    cases: int, headline: Sequence[str], cut: Cut | None, folds: Sequence[int], findings: bool, repeats: int, seed: int
) -> tuple[str, ...]:
    """Write the rules of one comparison.

    Args:
        cases: Number of cases.
        headline: Structures that count.
        cut: Between upper and lower; None where the labels are no spine.
        folds: Of the grid.
        findings: Whether any system has findings.
        repeats: Bootstrap resamples.
        seed: Of the bootstrap.
    """
    lines = [f"{cases} case{'' if cases == 1 else 's'}, each predicted by a model that was not trained on it.", EMPTY]
    lines += [SCORE_RULES[0], *SCORE_RULES[4:6], f"Headline structures: {', '.join(headline)}."]
    lines.append(
        "HD95 and ASSD (mm) are means over the structures that truth and prediction both have; read them with the "
        "number missed. Recall, where not of findings, is the share of a structure's true voxels that was found."
    )
    if cut is not None:
        lines.append(f"Cut between levels: {cut.text}.")
    lines += [
        "A system with repeats (several plans) enters with its mean over repeats, case by case; sd is over cases "
        "(n - 1), and the sd of the repeats' means is shown beside it. Where a repeat has no value, the others count.",
        "Statistics pair the cases: difference = reference - other, 95 % percentile bootstrap over cases "
        f"({repeats} resamples, seed {seed}), Wilcoxon's signed-rank test (two-sided, zero differences discarded) and "
        "the paired t test, each Holm-corrected over the other systems within a measure; d_z = mean / sd of the "
        "differences, Cohen's d with the pooled sd. Of HD95, ASSD and FPR less is better. A case where a value is not "
        "defined for either system is left out and counted as dropped.",
    ]
    if cut is not None:
        lines.append("Upper against lower: Dice means of the same case, within a system; no correction over systems.")
    if findings:
        lines += [thresholds_text(folds), *FINDING_RULES[:3]]
        lines.append(
            "Intervals and P of findings: percentile bootstrap over cases, the same resamples for both systems, pooled "
            "over findings; Holm over the other systems."
        )
    return tuple(lines)
