"""Running a conversion over all cases with many processes, and finishing the raw data set."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import SimpleITK as sitk
from tqdm import tqdm

from nnunet_textguided.dataset_conversion.base.cases import CaseTask, convert_case
from nnunet_textguided.dataset_conversion.base.geometry import CANONICAL_ORIENTATION
from nnunet_textguided.dataset_conversion.base.manifest import Manifest
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.base.splits import (
    SPLITS_FILE,
    Splits,
    install_splits,
    keep_cases,
    load_splits,
    split_by_patient,
)
from nnunet_textguided.dataset_conversion.base.target import FILE_ENDING, open_manifest, remove_case
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import save_json_atomic
from nnunet_textguided.findings.annotations import FINDINGS_FILE, Annotation, write_findings
from nnunet_textguided.nnunet_paths import missing_paths, require_paths

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DatasetDescription:
    """What dataset.json says besides the number of cases.

    Attributes:
        name: Name of the source, in full.
        channel_names: One name a channel.
        labels: nnU-Net's `labels`.
        missing: Source (the case ids' prefix) to the structures it does not annotate.
        reference: Where the data come from.
        licence: Under which terms.
        findings: The entry `findings` of the block `text_guidance`; empty where the source has none.
        annotate: Case to patient -> the findings of these cases.
    """

    name: str
    channel_names: tuple[str, ...]
    labels: dict[str, int]
    missing: dict[str, list[str]] = field(default_factory=dict)
    reference: str = ""
    licence: str = ""
    findings: dict[str, Any] = field(default_factory=dict)
    annotate: Callable[[Mapping[str, str]], list[Annotation]] | None = None

    def dataset_json(self, num_training: int) -> dict[str, Any]:
        """Return the content of dataset.json.

        Args:
            num_training: Number of cases in imagesTr.
        """
        block: dict[str, Any] = {"orientation": CANONICAL_ORIENTATION, "missing": self.missing}
        if self.findings:
            block["findings"] = self.findings
        return {
            "name": self.name,
            "reference": self.reference,
            "licence": self.licence,
            "channel_names": {str(index): name for index, name in enumerate(self.channel_names)},
            "labels": self.labels,
            "numTraining": num_training,
            "file_ending": FILE_ENDING,
            "text_guidance": block,
        }


def run_conversion(
    tasks: Sequence[CaseTask],
    description: DatasetDescription,
    manifest: Manifest,
    folder: Path,
    *,
    processes: int,
    overwrite: bool,
) -> Manifest:
    """Convert all cases that can be converted and write dataset.json, findings, the splits and the manifest.

    Args:
        tasks: The cases.
        description: For dataset.json.
        manifest: Of this conversion, with the problems found before any file was read.
        folder: nnUNet_raw/DatasetXXX_Name.
        processes: How many to use; with 1 no other process is started.
        overwrite: Remove what an earlier conversion wrote.

    Returns:
        The manifest as saved; `problems` holds what could not be converted.

    Raises:
        UserError: The folder may not be used, nothing can be written, bad splits, or no case could be converted.
    """
    patients = {task.case: task.patient for task in tasks}
    supplied = tasks[0].source / SPLITS_FILE
    splits = load_splits(supplied, patients) if supplied.is_file() else None
    manifest = open_manifest(folder, manifest, overwrite)
    _forget_strangers(manifest, folder, patients)
    _convert_all([replace(task, previous=manifest.cases.get(task.case)) for task in tasks], manifest, folder, processes)
    if not manifest.cases:
        raise UserError(f"None of the {len(tasks)} cases could be converted:{_as_lines(manifest.problems)}")
    manifest.splits = _write_splits(
        folder, splits, {case: patients[case] for case in manifest.cases}, manifest.problems
    )
    if not missing_paths("nnUNet_preprocessed"):
        preprocessed = require_paths("nnUNet_preprocessed")["nnUNet_preprocessed"]
        install_splits(folder, preprocessed / folder.name, overwrite)
    if description.annotate is not None:
        annotations = description.annotate({case: patients[case] for case in manifest.cases})
        write_findings(annotations, folder / FINDINGS_FILE)
    save_json_atomic(description.dataset_json(len(manifest.cases)), folder / "dataset.json")
    manifest.complete = not manifest.problems
    manifest.save(folder)
    return manifest


def _write_splits(folder: Path, supplied: Splits | None, patients: dict[str, str], problems: dict[str, str]) -> str:
    """Write the splits of the converted cases; return where they come from."""
    splits = split_by_patient(patients) if supplied is None else keep_cases(supplied, patients)
    for fold, split in enumerate(splits):
        if not (split["train"] and split["val"]):
            raise UserError(f"Fold {fold} of {SPLITS_FILE} has no convertible case on a side:{_as_lines(problems)}")
    if not splits:
        return "none, as there is one patient only"
    save_json_atomic(splits, folder / SPLITS_FILE)
    if supplied is None:
        return f"{len(splits)} by patient"
    in_none = len(set(patients) - {case for split in splits for side in split.values() for case in side})
    return f"{len(splits)} taken over from the source's {SPLITS_FILE}; {in_none} cases are in none of them"


def _as_lines(problems: dict[str, str]) -> str:
    return "".join(f"\n  {problem}" for problem in problems.values())


def _forget_strangers(manifest: Manifest, folder: Path, patients: dict[str, str]) -> None:
    """Remove cases of an earlier run whose source files are gone, so that folder, splits and count agree."""
    for case in sorted(set(manifest.cases) - set(patients)):
        logger.warning("%s: its source files are gone, so it is removed from %s", case, folder)
        del manifest.cases[case]
        remove_case(folder, case)


def _convert_all(tasks: Sequence[CaseTask], manifest: Manifest, folder: Path, processes: int) -> None:
    """Fill the manifest with records and problems; it is saved on the way and whatever happens."""
    bar = tqdm(_outcomes(tasks, processes), total=len(tasks), desc=folder.name, unit="case")
    try:
        for task, outcome in bar:
            if isinstance(outcome, CaseError):
                manifest.problems[task.case] = str(outcome)
                manifest.cases.pop(task.case, None)
                remove_case(folder, task.case)
            else:
                manifest.cases[task.case] = outcome
            manifest.save_now_and_then(folder)
    except BrokenProcessPool as error:
        raise UserError(
            "A worker process was killed, most likely because memory ran out. Cases already written are kept: run "
            "the same command again with fewer --processes."
        ) from error
    finally:
        bar.close()
        manifest.save(folder)


def _outcomes(tasks: Sequence[CaseTask], processes: int) -> Iterator[tuple[CaseTask, dict[str, Any] | CaseError]]:
    """Yield each case's record or problem as it is done."""
    if processes == 1:
        for task in tasks:
            try:
                yield task, convert_case(task)
            except CaseError as problem:
                yield task, problem
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_prepare_worker) as pool:
        pending: dict[Future[dict[str, Any]], CaseTask] = {pool.submit(convert_case, task): task for task in tasks}
        try:
            for future in as_completed(pending):
                error = future.exception()
                if error is not None and not isinstance(error, CaseError):
                    raise error
                yield pending[future], error if error is not None else future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker() -> None:
    """Keep ITK from starting a thread a core in every worker, and leave Ctrl-C to the parent, which saves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def default_processes() -> int:
    """Return how many processes to use if the user does not say: the cores, at most 8."""
    return max(1, min(8, os.cpu_count() or 1))
