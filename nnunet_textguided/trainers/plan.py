"""Plans of a text-guided model: a copy of nnU-Net's plans with the block `text_guidance`, under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnunet_textguided.architectures import check_encoder_name
from nnunet_textguided.dataset_json import block_of, read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json, save_json_atomic
from nnunet_textguided.nnunet_paths import require_paths
from nnunet_textguided.plans_json import read_plans
from nnunet_textguided.safe_names import check_name
from nnunet_textguided.text.check_model import check_text_model
from nnunet_textguided.trainers.encoder_weights import source_of_file
from nnunet_textguided.trainers.finding_targets import load_findings
from nnunet_textguided.trainers.guidance import BLOCK, TextGuidance, declared_findings, structure_names
from nnunet_textguided.trainers.mirroring import check_mirror_mode
from nnunet_textguided.trainers.order_fixed_axes import order_fixed_axes_of_folder


def preprocessed_folder(dataset: str) -> Path:
    """Find `nnUNet_preprocessed/DatasetXXX_Name`.

    Args:
        dataset: Id or name.

    Raises:
        UserError: The variable is not set, or there is no such data set.
    """
    require_paths("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
    from nnunetv2.paths import nnUNet_preprocessed
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

    try:
        name = maybe_convert_to_dataset_name(int(dataset) if dataset.isdigit() else dataset)
    except RuntimeError as error:
        raise UserError(f"No data set {dataset}: {error}") from error
    folder = Path(str(nnUNet_preprocessed)) / name
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist. Run first: nnUNetv2_plan_and_preprocess -d {dataset}")
    return folder


def load_plans(folder: Path, identifier: str) -> dict[str, Any]:
    """Read plans by identifier.

    Raises:
        UserError: There are none; the text lists those that exist.
    """
    path = folder / f"{identifier}.json"
    if not path.is_file():
        there = sorted(p.stem for p in folder.glob("*.json") if _is_plans(load_json(p)))
        raise UserError(
            f"Expected plans at {path}, found {there or 'none'} in that folder. "
            "Make them with nnUNetv2_plan_and_preprocess, or name others with -p."
        )
    return read_plans(path)


def _is_plans(content: Any) -> bool:
    return isinstance(content, dict) and "configurations" in content


def write_text_guided_plans(
    folder: Path,
    source: str = "nnUNetPlans",
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    mirror: Any = "auto",
    findings: Sequence[str] = (),
    overwrite: bool = False,
) -> Path:
    """Copy plans and add the block.

    The copy keeps each configuration's `data_identifier`, so the preprocessed data are shared.

    Args:
        folder: `nnUNet_preprocessed/DatasetXXX_Name`.
        source: Identifier of the plans to copy.
        name: Identifier of the copy; `source` + `TextGuided` when None.
        options: Fields of `TextGuidance` that differ from their defaults.
        mirror: `auto`, `all`, `none` or axes of the preprocessed 3D array.
        findings: Names of the findings to train for, or `["all"]` that dataset.json declares.
        overwrite: Replace plans of that name.

    Returns:
        The file written.

    Raises:
        UserError: Names that do not exist, data that are missing, or plans that would be overwritten.
    """
    plans = load_plans(folder, source)
    dataset_json = read_dataset_json(folder / "dataset.json")
    name = check_name(name or f"{source}TextGuided", "--name of the plans")
    path = folder / f"{name}.json"
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists. Add --overwrite to replace it, or --name for another one.")
    if name == source:
        raise UserError(f"--name {name} is the name of the plans that are copied; choose another.")
    options = dict(options or {})
    options["findings"] = choose_findings(dataset_json, findings)
    setting = {"mode": check_mirror_mode(mirror), "order_fixed_axes": None}
    guidance = TextGuidance.for_dataset(dataset_json, {**options, "mirror_axes": setting})
    check_encoder_name(guidance.encoder)
    guidance = replace(guidance, encoder_source=source_of_file(guidance.encoder_weights, guidance.encoder))
    check_text_model(guidance.text_model, guidance.text_weights)
    if guidance.findings:
        ending = dataset_json["file_ending"]
        cases = [path.name.removesuffix(ending) for path in (folder / "gt_segmentations").glob(f"*{ending}")]
        load_findings(folder, dataset_json, guidance.names, cases)
    if mirror == "auto":
        setting["order_fixed_axes"] = _order_fixed_axes(folder, plans, dataset_json)
    copy = deepcopy(plans)
    copy["plans_name"] = name
    copy[BLOCK] = {**guidance.to_block(), "mirror_axes": setting}
    save_json_atomic(copy, path)
    return path


def choose_findings(dataset_json: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Pick findings of a data set by name, in the order of dataset.json.

    Args:
        dataset_json: Declares them.
        names: Some of them, none, or `["all"]`.

    Raises:
        UserError: A name it does not declare; the text lists those it does.
    """
    declared = declared_findings(block_of(dataset_json).get("findings", {}), structure_names(dataset_json))
    if list(names) == ["all"]:
        return declared
    unknown = [name for name in names if name not in declared]
    if unknown:
        raise UserError(f"dataset.json declares no findings {unknown}; it has {list(declared) or 'none'}.")
    return {name: entry for name, entry in declared.items() if name in names}


def _order_fixed_axes(folder: Path, plans: Mapping[str, Any], dataset_json: Mapping[str, Any]) -> list[int]:
    """Apply the flip rule to the first configuration that is preprocessed."""
    identifiers = [c["data_identifier"] for c in plans["configurations"].values() if "data_identifier" in c]
    for identifier in identifiers:
        data = folder / identifier
        if data.is_dir() and any(data.glob("*.pkl")):
            labels = [v for n, v in dataset_json["labels"].items() if n not in ("background", "ignore")]
            return list(order_fixed_axes_of_folder(str(data), sorted(labels)))
    raise UserError(
        f"None of {identifiers} is preprocessed in {folder}; the flip rule looks at preprocessed cases. "
        "Run nnUNetv2_preprocess (or nnUNetv2_plan_and_preprocess) first, or set --mirror-axes all | none | 0 1."
    )
