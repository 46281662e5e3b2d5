"""Average several models' predictions: segmentations as nnUNetv2_ensemble does, and their findings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from nnunet_textguided.dataset_json import read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import remove_leftovers, save_json_atomic
from nnunet_textguided.inference.case_findings import DEFAULT_THRESHOLD, measure_structures
from nnunet_textguided.inference.finding_files import findings_file, load_case_findings, write_tables
from nnunet_textguided.inference.predict import writable_folder
from nnunet_textguided.inference.probabilities import check_probabilities
from nnunet_textguided.inference.whole_labels import whole_labels
from nnunet_textguided.safe_pickle import load_small_pickle

Decisions = dict[tuple[str, str], dict[str, Any]]


def ensemble_predictions(
    folders: Sequence[str | Path],
    output: str | Path,
    save_probabilities: bool = False,
    num_processes: int = 1,
    trust: bool = False,
) -> list[str]:
    """Average prediction folders made with `--save_probabilities`.

    A finding's probability is the mean over the models that predict findings; a model that did not segment the
    structure counts as 0. Its place is taken from the model that is surest of it.

    Args:
        folders: At least two prediction folders of the same cases; models without findings count for the segmentation.
        output: Made if missing.
        save_probabilities: Write the averaged probabilities too.
        num_processes: Processes that average segmentations.
        trust: Let the .pkl files beside the probabilities run code.

    Returns:
        The cases.

    Raises:
        UserError: Too few folders, folders of different cases, probabilities that are cut short, too large or do not go
            together, a .pkl that would run code, or no space for the result.
    """
    paths = [Path(folder) for folder in folders]
    cases = _common_cases(paths)
    dataset_json = read_dataset_json(paths[0] / "dataset.json")
    for case in cases:
        # nnU-Net unpickles those of the first folder
        load_small_pickle(paths[0] / f"{case}.pkl", "the properties nnU-Net writes beside probabilities", trust=trust)
        check_probabilities([folder / f"{case}.npz" for folder in paths], len(dataset_json["labels"]))
    output = writable_folder(output)
    remove_leftovers(output)
    from nnunetv2.ensembling.ensemble import ensemble_folders

    with whole_labels(output / f"*{dataset_json['file_ending']}") as hidden:
        ensemble_folders([str(folder) for folder in paths], str(hidden), save_probabilities, num_processes)
    with_findings = [folder for folder in paths if any(folder.glob("*_findings.json"))]
    if not with_findings:
        return cases
    codes = {name: value for name, value in dataset_json["labels"].items() if name not in ("background", "ignore")}
    for case in cases:
        segmentation = sitk.ReadImage(str(output / f"{case}{dataset_json['file_ending']}"))
        structures = measure_structures(segmentation, codes)
        contents = [_load(folder, case) for folder in with_findings]
        there = {structure.structure for structure in structures}
        content = {
            "case": case,
            "model": {"ensemble": [content["model"] for content in contents]},
            "findings": average_findings([content["findings"] for content in contents], there),
            "structures": [structure.__dict__ for structure in structures],
        }
        save_json_atomic(content, findings_file(output, case))
    write_tables(output)
    return cases


def average_findings(models: Sequence[Sequence[dict[str, Any]]], structures: set[str]) -> list[dict[str, Any]]:
    """Average the findings of one case.

    Args:
        models: For each model its findings, as they are written.
        structures: Structures of the averaged segmentation; findings of others are left out.

    Returns:
        One entry a decision that any model made.
    """
    tables: list[Decisions] = [{(f["structure"], f["finding"]): f for f in findings} for findings in models]
    averaged = []
    for key in dict.fromkeys(key for table in tables for key in table):
        if key[0] not in structures:
            continue
        made = [table[key] for table in tables if key in table]
        probability = round(sum(f["probability"] for f in made) / len(tables), 6)
        threshold = sum(f.get("threshold", DEFAULT_THRESHOLD) for f in made) / len(made)
        surest = max(made, key=lambda f: f["probability"])
        averaged.append(
            {**surest, "probability": probability, "threshold": threshold, "present": probability >= threshold}
        )
    return averaged


def _common_cases(folders: Sequence[Path]) -> list[str]:
    if len(folders) < 2:
        raise UserError(f"An ensemble needs at least two prediction folders, got {len(folders)}.")
    found = {}
    for folder in folders:
        found[folder] = {path.stem for path in folder.glob("*.npz")}
        if not found[folder] or not (folder / "plans.json").is_file():
            raise UserError(
                f"{folder} holds no probabilities (.npz, .pkl) with plans.json. Predict with --save_probabilities."
            )
    every = set().union(*found.values())
    for folder, cases in found.items():
        if missing := sorted(every - cases):
            raise UserError(f"{folder} lacks the cases {', '.join(missing)}, which other folders have.")
    return sorted(every)


def _load(folder: Path, case: str) -> dict[str, Any]:
    path = findings_file(folder, case)
    if not path.is_file():
        raise UserError(f"{folder} holds findings of other cases, but none of {case}. Predict that case again.")
    return load_case_findings(path)
