"""What must be the same for two systems to be comparable: as plain content, and as hashes of it.

The content is kept with a run's scores (`RunRecord.details`), so that a difference can be named file by file and key by
key, also where the scores come from several machines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.splits import Split, split_of
from nnunet_textguided.dataset_json import read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.evaluation.finding_evaluation import read_truth
from nnunet_textguided.evaluation.finding_table import KEYS
from nnunet_textguided.files import file_sha256, load_json
from nnunet_textguided.sources import declared_missing

SPLITS, TRUTH, PREPROCESSED, DATASET, PLANS = "splits", "truth", "preprocessed", "dataset", "plans"
TRAINING_DATA = "training_data"
FINDINGS_FILE = "findings.csv"
NOT_COMPARED = ("text_guidance", "plans_name", "continue_training", "configurations")
"""Of plans: our own block, the name, what nnU-Net adds while it trains; configurations are added resolved."""
NOT_COMPARED_IN_CONFIGURATION = ("data_identifier", "inherits_from")
"""A folder's name (its content is compared instead), and what is resolved."""
CASE_SUFFIXES = (".b2nd", "_seg.b2nd", ".npz", ".pkl")
"""Of preprocessed files. The .npy that nnU-Net unpacks for the time of a training are left out."""
_ENDS_BYTES = 64 * 1024


def digest(content: Any) -> str:
    """Hash plain content.

    Args:
        content: What JSON can hold.

    Returns:
        Hexadecimal SHA-256 of its JSON with sorted keys.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def contents_of(run: Run, folders: Folders) -> dict[str, Any]:
    """Return everything that must agree, of one run.

    Args:
        run: A trained one.
        folders: Where it and its data lie.

    Returns:
        Name (SPLITS to TRAINING_DATA) -> content.

    Raises:
        UserError: A file is missing; the text names it.
    """
    model, preprocessed = run.model_folder(folders.results), folders.preprocessed / run.dataset
    plans, dataset_json = load_json(model / "plans.json"), read_dataset_json(model / "dataset.json")
    split = split_of(preprocessed, run.fold)
    configuration = resolved_configuration(plans, run.configuration)
    contents = {
        SPLITS: split_content(split),
        TRUTH: truth_content(run.dataset, folders, dataset_json["file_ending"], split.val),
        PREPROCESSED: preprocessed_content(preprocessed / configuration["data_identifier"], (*split.train, *split.val)),
        DATASET: dataset_content(dataset_json),
        PLANS: plans_content(plans, run.configuration),
    }
    if (model / "dataset_fingerprint.json").is_file():
        # nnU-Net copies it when a training starts: the one trace in a model's folder of the data it was trained on
        fingerprint = load_json(model / "dataset_fingerprint.json")
        contents[TRAINING_DATA] = {name: digest(value) for name, value in fingerprint.items()}
    return json.loads(json.dumps(contents))


def split_content(split: Split) -> dict[str, str]:
    """Return the side of every case.

    Args:
        split: Of the fold.
    """
    return {**dict.fromkeys(split.train, "train"), **dict.fromkeys(split.val, "val")}


def truth_content(dataset: str, folders: Folders, file_ending: str, cases: Sequence[str]) -> dict[str, str]:
    """Hash what predictions are judged by: label files, and the assessed findings of the same cases.

    Args:
        dataset: DatasetXXX_Name.
        folders: Where they lie.
        file_ending: Of label files.
        cases: Validation cases.

    Returns:
        Name of file -> hash.

    Raises:
        UserError: A case has no label file.
    """
    folder = folders.truth(dataset)
    files = {case: folder / f"{case}{file_ending}" for case in cases}
    absent = [case for case, file in files.items() if not file.is_file()]
    if absent:
        raise UserError(f"{folder} has no {file_ending} file of: {', '.join(absent)}. Preprocess the data set again.")
    content = {file.name: file_sha256(file) for file in files.values()}
    findings = assessed_findings(folders.preprocessed / dataset, cases)
    if findings is not None:
        content[FINDINGS_FILE] = digest(findings.values.tolist())
    return content


def assessed_findings(preprocessed_folder: Path, cases: Sequence[str]) -> pd.DataFrame | None:
    """Return the decisions that a reader made on some cases.

    Args:
        preprocessed_folder: nnUNet_preprocessed/DatasetXXX_Name.
        cases: Which cases.

    Returns:
        Columns KEYS and truth (1 or 0), sorted; None where the data set has no findings.csv.
    """
    path = preprocessed_folder / FINDINGS_FILE
    if not path.is_file():
        return None
    table = read_truth(path)
    return table.loc[table["case"].isin(cases), [*KEYS, "truth"]].sort_values(KEYS, ignore_index=True)


def preprocessed_content(folder: Path, cases: Sequence[str]) -> dict[str, str]:
    """Hash the preprocessed files of cases by name, size, first and last 64 KiB, which no other data would share.

    Args:
        folder: The configuration's folder of preprocessed data.
        cases: Training and validation cases.

    Returns:
        Name of file -> hash.

    Raises:
        UserError: A case has no preprocessed file.
    """
    content: dict[str, str] = {}
    for case in sorted(cases):
        files = [file for suffix in CASE_SUFFIXES if (file := folder / f"{case}{suffix}").is_file()]
        if not files:
            raise UserError(
                f"Expected preprocessed files of case {case} in {folder}, found none. Run nnUNetv2_preprocess."
            )
        content |= {file.name: _ends_digest(file) for file in files}
    return content


def dataset_content(dataset_json: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model's dataset.json says of labels, channels, files and structures that are not annotated.

    Args:
        dataset_json: nnU-Net's.
    """
    missing = {source: sorted(names) for source, names in sorted(declared_missing(dataset_json).items())}
    names = ("labels", "channel_names", "file_ending", "regions_class_order")
    return {**{name: dataset_json.get(name) for name in names}, "text_guidance.missing": missing}


def plans_content(plans: Mapping[str, Any], configuration: str) -> dict[str, Any]:
    """Return the part of plans that must agree between systems: everything but the block text_guidance.

    Args:
        plans: A model's plans.json.
        configuration: Such as "2d"; others are left out.

    Raises:
        UserError: The plans have no such configuration.
    """
    resolved = resolved_configuration(plans, configuration)
    return {
        **{name: value for name, value in plans.items() if name not in NOT_COMPARED},
        configuration: {name: v for name, v in resolved.items() if name not in NOT_COMPARED_IN_CONFIGURATION},
    }


def resolved_configuration(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a configuration with what it inherits from others (nnU-Net's key `inherits_from`).

    Args:
        plans: Content of plans.json.
        name: Of the configuration.

    Raises:
        UserError: There is no such configuration.
    """
    configurations = plans.get("configurations", {})
    if name not in configurations:
        raise UserError(
            f"The plans {plans.get('plans_name', '?')} have no configuration {name!r}. They have: "
            f"{', '.join(configurations) or 'none'}."
        )
    own = configurations[name]
    parent = own.get("inherits_from")
    return {**(resolved_configuration(plans, parent) if parent else {}), **own}


def _ends_digest(file: Path) -> str:
    size = file.stat().st_size
    with open(file, "rb") as stream:
        first = stream.read(_ENDS_BYTES)
        stream.seek(max(0, size - _ENDS_BYTES))
        return hashlib.sha256(f"{file.name} {size} ".encode() + first + stream.read()).hexdigest()
