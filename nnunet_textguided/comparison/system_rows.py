"""The records of all runs as one table a kind, with the system and the repeat that each row belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnunet_textguided.comparison.grid import Grid, Run, System
from nnunet_textguided.comparison.record import RunRecord
from nnunet_textguided.errors import UserError
from nnunet_textguided.evaluation.metrics import SCORED
from nnunet_textguided.evaluation.summary import MEASURES, in_truth

OWNER = ["system", "repeat"]
DISTANCES = ("hd95_mm", "assd_mm")


class SystemRecords:
    """Records, found by system and repeat (plans identifier)."""

    def __init__(self, grid: Grid, records: Sequence[RunRecord]) -> None:
        """Check that records and grid belong together.

        Args:
            grid: What is compared.
            records: One a run of the grid, in any order.

        Raises:
            UserError: A run has no record, a case is in two folds, systems differ in cases, or a value is missing.
        """
        self.grid = grid
        self._of: dict[Run, RunRecord] = {record.run: record for record in records}
        lacking = [run.record for run in grid.runs() if run not in self._of]
        if lacking:
            raise UserError(f"Not trained or not scored yet: {', '.join(lacking)}. Train them, or leave them out.")
        self.cases = self._common_cases()
        for run in grid.runs():
            _check_values(self._of[run])

    def of(self, system: System) -> dict[str, list[RunRecord]]:
        """Return a system's records.

        Args:
            system: One of the grid's.

        Returns:
            Repeat -> one record a fold.
        """
        return {plans: [self._of[run] for run in runs] for plans, runs in self.grid.runs_of(system).items()}

    def table(self, name: str) -> pd.DataFrame:
        """Return one table of all records; its rows start with OWNER and fold, ordered by case within a repeat.

        Args:
            name: Field of `RunRecord` that holds a table, or None.
        """
        parts = []
        for system in self.grid.systems:
            for repeat, records in self.of(system).items():
                tables = [(record.run.fold, getattr(record, name)) for record in records]
                folds = [table.assign(fold=fold) for fold, table in tables if table is not None and len(table)]
                if folds:
                    joined = pd.concat(folds, ignore_index=True).sort_values("case", kind="stable", ignore_index=True)
                    parts.append(joined.assign(system=system.label, repeat=repeat))
        if not parts:
            return pd.DataFrame(columns=[*OWNER, "fold", "case"])
        whole = pd.concat(parts, ignore_index=True)
        first = [*OWNER, "fold"]
        return whole[[*first, *(column for column in whole if column not in first)]]

    def structure_names(self) -> list[str]:
        """Names of the labels, in their order."""
        return list(dict.fromkeys(self._of[self.grid.runs()[0]].structures["structure"]))

    def _common_cases(self) -> tuple[str, ...]:
        cases_of: dict[str, set[str]] = {}
        for run in self.grid.runs():
            own = cases_of.setdefault(f"{run.model}, names in order" if run.names_in_order else run.model, set())
            twice = own & set(self._of[run].cases)
            if twice:
                raise UserError(
                    f"{run.name}: another fold validated {', '.join(sorted(twice)[:5])} as well; their splits differ."
                )
            own.update(self._of[run].cases)
        first, *others = cases_of
        for model in others:
            only = sorted(cases_of[model] ^ cases_of[first])
            if only:
                raise UserError(
                    f"{first} and {model} were not validated on the same cases; only one of them has "
                    f"{', '.join(only[:5])}. Train both with the same splits_final.json."
                )
        return tuple(sorted(cases_of[first]))


def _check_values(record: RunRecord) -> None:
    """A number that the rules define must be there: one left out in silence would flatter or harm a system."""
    rows, advice = record.structures, "The record is damaged: delete it to score the run again."
    missing = set(record.cases) ^ set(rows["case"])
    if missing or rows.duplicated(["case", "structure"]).any():
        named = f": {', '.join(sorted(missing)[:5])}" if missing else ""
        raise UserError(f"{record.run.name}: expected each case and structure once in its scores{named}. {advice}")
    counted = in_truth(rows)
    found = counted[counted["status"] == SCORED]  # of a missed structure a distance is not defined
    for own, measures, words in ((counted, MEASURES, "IoU, Dice or recall"), (found, DISTANCES, "HD95 or ASSD")):
        broken = own[~np.isfinite(own[list(measures)].to_numpy(float)).all(axis=1)]
        if len(broken):
            one = broken.iloc[0]
            raise UserError(
                f"{record.run.name}: case {one['case']}, {one['structure']} is {one['status']}, but its {words} is not "
                f"a number ({len(broken)} such rows). {advice}"
            )
    if record.findings is None:
        return
    known = record.findings[record.findings["truth"].notna()]
    broken = known[~np.isfinite(known["probability"].to_numpy(float))]
    if len(broken):
        one = broken.iloc[0]
        raise UserError(
            f"{record.run.name}: case {one['case']}, {one['structure']}, {one['finding']}: the probability is not a "
            f"number ({len(broken)} such rows). Predict the case again: the model may have diverged."
        )
