"""From the records of all runs to the tables of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import pandas as pd

from nnunet_textguided import __version__
from nnunet_textguided.comparison.case_scores import mean_over_repeats, score_cases, structure_cases
from nnunet_textguided.comparison.cost_table import cost_table
from nnunet_textguided.comparison.finding_scores import MEASURES, PREFIX, decide, finding_table
from nnunet_textguided.comparison.finding_statistics import finding_statistics
from nnunet_textguided.comparison.grid import Grid
from nnunet_textguided.comparison.groups import Cut, groups_of, is_spine
from nnunet_textguided.comparison.notes import notes_of
from nnunet_textguided.comparison.paired import REPEATS
from nnunet_textguided.comparison.record import RunRecord
from nnunet_textguided.comparison.rules import rules
from nnunet_textguided.comparison.segmentation_tables import group_table, overall_table, structure_table
from nnunet_textguided.comparison.spider_table import RULE as SPIDER_RULE
from nnunet_textguided.comparison.spider_table import spider_table
from nnunet_textguided.comparison.statistics_table import case_statistics, upper_lower_table
from nnunet_textguided.comparison.system_rows import SystemRecords
from nnunet_textguided.errors import UserError
from nnunet_textguided.evaluation.finding_metrics import POOLED
from nnunet_textguided.evaluation.task import headline_structures

STATISTICS_PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn")


@dataclass(frozen=True)
class CompareOptions:
    """What a user may choose.

    Attributes:
        reference: Label of the system that the others are compared with; the grid's first when None.
        upper: Names of the upper structures; those from T9 to T12/L1 when None.
        exclude: Structures that shall not count for the headline.
        seed: Of the bootstrap.
        bootstrap_repeats: Number of resamples.
    """

    reference: str | None = None
    upper: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    seed: int = 0
    bootstrap_repeats: int = REPEATS


@dataclass(frozen=True)
class Comparison:
    """All tables of a comparison; their columns are described where they are made.

    Attributes:
        grid: What is compared.
        reference: Label of the system that the others are compared with.
        cases: Every case, sorted.
        overall: A row a system.
        structures: A row a system and structure.
        groups: A row a system and group of structures.
        findings: A row a system and finding; None where no system has findings.
        costs: A row a system.
        statistics: A row a measure and other system; none where there is one case or one system.
        upper_lower: A row a system; none where the labels are no spine.
        spider: A row a system; None where the labels are no spine.
        case_scores: Long: system, case, measure, value, averaged over repeats.
        structure_cases: A row a system, case and structure in the truth, averaged over repeats.
        decisions: A row an assessed decision; None where no system has findings.
        rules: Sentences printed with every table.
        notes: What is special about this comparison.
        provenance: Versions, options, and hashes and hardware of every run.
    """

    grid: Grid
    reference: str
    cases: tuple[str, ...]
    overall: pd.DataFrame
    structures: pd.DataFrame
    groups: pd.DataFrame
    findings: pd.DataFrame | None
    costs: pd.DataFrame
    statistics: pd.DataFrame
    upper_lower: pd.DataFrame
    spider: pd.DataFrame | None
    case_scores: pd.DataFrame
    structure_cases: pd.DataFrame
    decisions: pd.DataFrame | None
    rules: tuple[str, ...]
    notes: tuple[str, ...]
    provenance: dict[str, Any]


def compare(grid: Grid, records: Sequence[RunRecord], options: CompareOptions | None = None) -> Comparison:
    """Make every table.

    Args:
        grid: What is compared.
        records: One a run of the grid, in any order; checked for fairness before.
        options: The user's choices.

    Raises:
        UserError: A run has no record, records do not fit together or hold values that are no numbers, or an option
            names a system or structure that there is not.
    """
    options = options or CompareOptions()
    known, labels = SystemRecords(grid, records), [system.label for system in grid.systems]
    reference = _reference(options, labels)
    names = known.structure_names()
    headline = _headline(names, options)
    cut = _cut(names, options)
    groups = groups_of(names, headline, cut or Cut())
    records_of = {s.label: [record for part in known.of(s).values() for record in part] for s in grid.systems}
    draws = (options.seed, options.bootstrap_repeats)

    rows = known.table("structures")
    repeats = score_cases(rows, known.cases, headline, groups)
    cases = mean_over_repeats(repeats)
    overall = overall_table(grid.systems, rows, repeats, cases, headline)
    spider = spider_table(labels, known.table("instances"), known.table("shifts"))
    statistics = [case_statistics(cases, reference, *draws)]
    decisions, findings = decide(known.table("findings")), None
    if decisions is not None:
        findings, pooled = finding_table(decisions, *draws)
        statistics.append(finding_statistics(decisions, pooled, reference, *draws))
    return Comparison(
        grid=grid,
        reference=reference,
        cases=known.cases,
        overall=_with_findings(overall, findings),
        structures=structure_table(rows, names, headline),
        groups=group_table(rows, cases, groups),
        findings=findings,
        costs=cost_table(records_of),
        statistics=_joined(statistics, len(known.cases)),
        upper_lower=upper_lower_table(cases, labels, groups, *draws),
        spider=spider,
        case_scores=cases,
        structure_cases=structure_cases(rows),
        decisions=decisions,
        rules=(
            *rules(len(known.cases), headline, cut, grid.folds, findings is not None, *reversed(draws)),
            *([] if spider is None else [SPIDER_RULE]),
        ),
        notes=notes_of(known.cases, records_of, findings),
        provenance=_provenance([r for own in records_of.values() for r in own], options, reference),
    )


def _reference(options: CompareOptions, labels: Sequence[str]) -> str:
    if options.bootstrap_repeats < 1:
        raise UserError(f"Expected at least 1 bootstrap resample, got {options.bootstrap_repeats}.")
    if options.reference is not None and options.reference not in labels:
        raise UserError(f"No system is called {options.reference!r}; the reference may be: {', '.join(labels)}.")
    return options.reference or labels[0]


def _headline(names: Sequence[str], options: CompareOptions) -> list[str]:
    unknown = [name for name in options.exclude if name not in names]
    if unknown:
        raise UserError(f"No structure to exclude is called {', '.join(unknown)}; there are: {', '.join(names)}.")
    counted = headline_structures(names, options.exclude)
    if not counted:
        raise UserError("No structure is left for the headline: exclude fewer.")
    return [name for name in names if name in counted]


def _cut(names: Sequence[str], options: CompareOptions) -> Cut | None:
    if is_spine(names):
        return Cut() if options.upper is None else Cut.of(options.upper)
    if options.upper is not None:
        raise UserError(
            f"Upper structures were named, but the labels are no spine: {', '.join(names[:10])}. Leave the cut out."
        )
    return None


def _joined(statistics: Sequence[pd.DataFrame], cases: int) -> pd.DataFrame:
    """Put what there is under one head; of one case there are no statistics."""
    filled = [table for table in statistics if len(table)] if cases > 1 else []
    return pd.concat(filled, ignore_index=True) if filled else statistics[0].iloc[:0]


def _with_findings(overall: pd.DataFrame, findings: pd.DataFrame | None) -> pd.DataFrame:
    """Add the pooled findings, None for a system without."""
    if findings is None:
        return overall
    pooled = findings[findings["finding"] == POOLED].set_index("system")[list(MEASURES)].add_prefix(PREFIX)
    return overall.join(pooled, on="system")


def _provenance(records: Sequence[RunRecord], options: CompareOptions, reference: str) -> dict[str, Any]:
    return {
        "nnunet_textguided": __version__,
        "statistics": {package: version(package) for package in STATISTICS_PACKAGES},
        "options": {**asdict(options), "reference": reference},
        "runs": {
            record.run.record: {
                "provenance": record.provenance,
                "fingerprints": record.fingerprints,
                "details": {key: value for key, value in record.details.items() if not isinstance(value, dict | list)},
            }
            for record in sorted(records, key=lambda record: record.run)  # the order they came in is of no matter
        },
    }
