"""What a reader has to know of one comparison before its tables: what systems lack, and what is not alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from nnunet_textguided.comparison.record import RunRecord
from nnunet_textguided.evaluation.finding_metrics import POOLED

Records = Mapping[str, Sequence[RunRecord]]


def notes_of(cases: Sequence[str], records_of: Records, findings: pd.DataFrame | None) -> tuple[str, ...]:
    """Write the notes.

    Args:
        cases: All cases.
        records_of: System -> its records, of all repeats and folds.
        findings: Table of findings; None where no system has any.
    """
    notes = []
    if len(cases) == 1:
        notes.append(f"One case only ({cases[0]}): no statistics, no standard deviations.")
    if len(records_of) == 1:
        notes.append("One system only: there is nothing to compare it with.")
    ordered = [label for label, own in records_of.items() if own[0].run.names_in_order]
    if ordered:
        notes.append(
            f"Names in order: {'; '.join(ordered)}. Vertebrae and discs that were segmented are named as one column; "
            "outlines are the network's, and findings are read under the network's own names."
        )
    if findings is not None:
        notes += _of_findings(list(records_of), findings)
    return (*notes, *_of_training_lengths(records_of), *_of_devices(records_of))


def _of_findings(labels: Sequence[str], findings: pd.DataFrame) -> list[str]:
    without = [label for label in labels if label not in set(findings["system"])]
    notes = [f"Without findings: {', '.join(without)}."] if without else []
    lacking = findings[(findings["n"] == 0) & (findings["finding"] != POOLED)]
    for system, own in lacking.groupby("system", sort=False):
        notes.append(
            f"{system} does not have {', '.join(own['finding'])}: its pooled scores are over the others, and it is "
            "compared with the reference on what both have."
        )
    return notes


def _of_training_lengths(records_of: Records) -> list[str]:
    """Systems that were trained for another number of iterations are compared at another cost."""
    systems: dict[int, list[str]] = {}
    for label, own in records_of.items():
        for iterations in dict.fromkeys(record.costs.get("iterations") for record in own):
            if iterations is not None:
                systems.setdefault(int(iterations), []).append(label)
    if len(systems) < 2:
        return []
    listed = "; ".join(f"{iterations} of {', '.join(systems[iterations])}" for iterations in sorted(systems))
    return [f"Trained for different numbers of iterations: {listed}."]


def _of_devices(records_of: Records) -> list[str]:
    """Times and memory of different devices say nothing of the systems."""
    notes = []
    for entry, what in (("device", "training"), ("inference_device", "prediction")):
        names = {str(r.costs[entry]) for own in records_of.values() for r in own if r.costs.get(entry)}
        if len(names) > 1:
            listed = ", ".join(sorted(names))
            notes.append(
                f"The {what} was measured on different devices ({listed}): do not compare its times and memory."
            )
    return notes
