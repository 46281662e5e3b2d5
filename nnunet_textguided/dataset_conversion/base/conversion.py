"""Running a conversion over all cases, and finishing the raw data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from nnunet_textguided.dataset_conversion.base.cases import CaseTask, from_line
from nnunet_textguided.dataset_conversion.base.description import DatasetDescription
from nnunet_textguided.dataset_conversion.base.manifest import ACCEPTED, Manifest
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.base.splits import (
    SPLITS_FILE,
    Splits,
    install_splits,
    keep_cases,
    load_splits,
    split_by_patient,
)
from nnunet_textguided.dataset_conversion.base.target import open_manifest, remove_case
from nnunet_textguided.dataset_conversion.base.workers import convert_cases
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import save_json_atomic
from nnunet_textguided.findings.annotations import FINDINGS_FILE, Annotation, write_findings
from nnunet_textguided.nnunet_paths import missing_paths, require_paths

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSettings:
    """How a conversion runs; changes nothing in what is written.

    Attributes:
        processes: How many to use; with 1 no other process is started.
        overwrite: Remove what an earlier conversion wrote.
        dry_run: Read and check everything, write nothing.
    """

    processes: int = 1
    overwrite: bool = False
    dry_run: bool = False


def run_conversion(
    tasks: Sequence[CaseTask],
    description: DatasetDescription,
    manifest: Manifest,
    folder: Path,
    settings: RunSettings,
    splits: Splits | None = None,
) -> Manifest:
    """Convert all cases that can be converted and write dataset.json, findings, the splits and the manifest.

    Args:
        tasks: The cases, each under a name of its own.
        description: For dataset.json.
        manifest: Of this conversion, with the problems found before any file was read.
        folder: nnUNet_raw/DatasetXXX_Name.
        settings: How to run.
        splits: Of the source; None = its splits_final.json, else by patient.

    Returns:
        The manifest as saved; `problems` holds what could not be converted.

    Raises:
        UserError: The folder may not be used, nothing can be written, bad splits, or no case could be converted.
    """
    patients = {task.case: task.patient for task in tasks}
    supplied = tasks[0].source / SPLITS_FILE
    if splits is None and supplied.is_file():
        splits = load_splits(supplied, patients)
    if settings.dry_run:
        _convert_all(tasks, manifest, None, folder.name, settings)
    else:
        manifest = open_manifest(folder, manifest, settings.overwrite)
        _forget_strangers(manifest, folder, patients)
        again = [replace(task, previous=manifest.cases.get(task.case)) for task in tasks]
        _convert_all(again, manifest, folder, folder.name, settings)
    if not manifest.cases:
        raise UserError(f"None of the {len(tasks)} cases could be converted:{_as_lines(manifest.problems)}")
    converted = {case: patients[case] for case in manifest.cases}
    splits, manifest.splits = _splits_of(splits, converted, manifest.problems)
    if not settings.dry_run:
        _finish(folder, description, manifest, converted, splits, settings.overwrite)
    return manifest


def _finish(
    folder: Path,
    description: DatasetDescription,
    manifest: Manifest,
    patients: dict[str, str],
    splits: Splits,
    overwrite: bool,
) -> None:
    """Write what belongs to the whole data set; dataset.json comes last but for the manifest's last word."""
    if splits:
        save_json_atomic(splits, folder / SPLITS_FILE)
    if not missing_paths("nnUNet_preprocessed"):
        preprocessed = require_paths("nnUNet_preprocessed")["nnUNet_preprocessed"]
        install_splits(folder, preprocessed / folder.name, overwrite)
    if description.annotate is not None:
        write_findings(description.annotate(patients), folder / FINDINGS_FILE)
    elif description.findings:
        write_findings(brought_along(manifest), folder / FINDINGS_FILE)
    save_json_atomic(description.dataset_json(len(manifest.cases)), folder / "dataset.json")
    manifest.complete = not manifest.problems
    manifest.save(folder)


def brought_along(manifest: Manifest) -> list[Annotation]:
    """Return the findings that the cases brought along, in the order of the cases.

    Args:
        manifest: With the cases' records.
    """
    return [from_line(case, line) for case, record in manifest.cases.items() for line in record.get("findings", ())]


def _splits_of(supplied: Splits | None, patients: dict[str, str], problems: dict[str, str]) -> tuple[Splits, str]:
    """Return the splits of the converted cases, and where they come from."""
    splits = split_by_patient(patients) if supplied is None else keep_cases(supplied, patients)
    for fold, split in enumerate(splits):
        if not (split["train"] and split["val"]):
            raise UserError(f"Fold {fold} of {SPLITS_FILE} has no convertible case on a side:{_as_lines(problems)}")
    if not splits:
        return splits, "none, as there is one patient only"
    if supplied is None:
        return splits, f"{len(splits)} by patient"
    in_none = len(set(patients) - {case for split in splits for side in split.values() for case in side})
    return splits, f"{len(splits)} taken over from the source's {SPLITS_FILE}; {in_none} cases are in none of them"


def _drop(manifest: Manifest, folder: Path | None, case: str) -> None:
    """Remove what an earlier run may have written of a case that cannot be converted."""
    manifest.cases.pop(case, None)
    if folder is not None:
        remove_case(folder, case)


def _as_lines(problems: dict[str, str]) -> str:
    return "".join(f"\n  {problem}" for problem in problems.values())


def _forget_strangers(manifest: Manifest, folder: Path, patients: dict[str, str]) -> None:
    """Remove cases of an earlier run whose source files are gone, so that folder, splits and count agree."""
    for case in sorted(set(manifest.cases) - set(patients)):
        logger.warning("%s: its source files are gone, so it is removed from %s", case, folder)
        del manifest.cases[case]
        remove_case(folder, case)


def _convert_all(
    tasks: Sequence[CaseTask], manifest: Manifest, folder: Path | None, name: str, settings: RunSettings
) -> None:
    """Fill the manifest with records and problems; it is saved on the way and whatever happens.

    Args:
        tasks: The cases.
        manifest: To be filled.
        folder: Where to write; None only reads and checks.
        name: For the progress bar.
        settings: How to run.
    """
    outcomes = convert_cases(tasks, settings.processes, write=folder is not None)
    bar = tqdm(outcomes, total=len(tasks), desc=name, unit="case")
    try:
        for task, outcome in bar:
            if isinstance(outcome, CaseError):
                manifest.problems[task.case] = str(outcome)
                if ACCEPTED not in (task.previous or {}):
                    _drop(manifest, folder, task.case)
            else:
                manifest.cases[task.case] = outcome
            if folder is not None:
                manifest.save_now_and_then(folder)
    except BrokenProcessPool as error:
        raise UserError(
            "A worker process was killed, most likely because memory ran out. Cases already written are kept: run "
            "the same command again with fewer --processes."
        ) from error
    finally:
        bar.close()
        if folder is not None:
            manifest.save(folder)
        else:
            manifest.cases = dict(sorted(manifest.cases.items()))
