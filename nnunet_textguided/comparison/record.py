"""All that is known of one run once it has been scored: kept in files, so that scores of several machines meet."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.csv_cells import read_table, write_table
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json, save_json_atomic

VERSION = 1
TABLES = ("structures", "findings", "instances", "shifts")
RECORD_FILE = "record.json"


@dataclass(frozen=True)
class RunRecord:
    """Scores, costs and provenance of one run.

    Attributes:
        run: Which one.
        cases: Validation cases of the fold, sorted.
        structures: A row a case and structure: the columns of `evaluation.metrics.score_case`, hd95_mm, assd_mm.
        findings: A row a decision: case, structure, finding, truth (1, 0, NaN = not assessed), probability. None for a
            model without findings.
        instances: A row a case and true instance, of `spider_score`; empty where the labels are no spine.
        shifts: A row a case: case, shift (levels; NaN = undecided); empty where the labels are no spine.
        costs: parameters, seconds_per_epoch, seconds_per_case, training_memory_mb, inference_memory_mb, device;
            None = not measured.
        fingerprints: What must agree between systems: splits, truth, preprocessed, plans, dataset (hashes).
        details: Plans outside `text_guidance`, epochs, and what else explains a fingerprint that differs.
        provenance: versions, hardware, checkpoint (SHA-256), scored (date).
    """

    run: Run
    cases: tuple[str, ...]
    structures: pd.DataFrame
    findings: pd.DataFrame | None
    instances: pd.DataFrame
    shifts: pd.DataFrame
    costs: dict[str, Any] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def save(self, records: Path) -> Path:
        """Write tables as CSV, then record.json, which makes it count.

        Args:
            records: Folder of all records.

        Returns:
            The run's folder below it.
        """
        folder = records / self.run.record
        for name in TABLES:
            table = getattr(self, name)
            if table is not None:
                write_table(table, folder / f"{name}.csv")
        content = {
            "version": VERSION,
            "run": asdict(self.run),
            "cases": list(self.cases),
            "has_findings": self.findings is not None,
            **{name: getattr(self, name) for name in ("costs", "fingerprints", "details", "provenance")},
        }
        save_json_atomic(content, folder / RECORD_FILE)
        return folder

    @classmethod
    def load(cls, records: Path, run: Run) -> RunRecord | None:
        """Read a record; None where there is none.

        Args:
            records: Folder of all records.
            run: Which one.

        Raises:
            UserError: It is damaged, or of another version.
        """
        folder = records / run.record
        if not (folder / RECORD_FILE).is_file():
            return None
        content = _checked(load_json(folder / RECORD_FILE), folder)
        tables = {name: _read(folder / f"{name}.csv") for name in TABLES if name != "findings"}
        findings = _read(folder / "findings.csv") if content["has_findings"] else None
        parts = {name: content[name] for name in ("costs", "fingerprints", "details", "provenance")}
        return cls(Run(**content["run"]), tuple(content["cases"]), findings=findings, **tables, **parts)


def _checked(content: Any, folder: Path) -> dict[str, Any]:
    """The content of record.json, if it has the form that `save` gives it."""
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise UserError(f"{folder / RECORD_FILE} is of another version; delete {folder} to score the run again.")
    kinds = {"run": dict, "cases": list, "has_findings": bool}
    kinds |= dict.fromkeys(("costs", "fingerprints", "details", "provenance"), dict)
    wrong = [name for name, kind in kinds.items() if not isinstance(content.get(name), kind)]
    if wrong or set(content["run"]) != {field.name for field in fields(Run)}:
        raise UserError(
            f"{folder / RECORD_FILE} is damaged ({', '.join(wrong) or 'run'}); delete {folder} to score the run again."
        )
    return content


def _read(path: Path) -> pd.DataFrame:
    try:
        return read_table(path, ("case", "code"), exact=True)
    except UserError as error:
        raise UserError(f"{error} Delete {path.parent} to score the run again.") from error
