"""Masks of other tools and data sets to the shared spine label set, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.label_maps.from_json import OUR_NAMES, check_name, read_label_map
from nnunet_textguided.dataset_conversion.label_maps.label_map import LabelMap
from nnunet_textguided.dataset_conversion.label_maps.registry import LABEL_MAPS, label_map
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import (
    BACKGROUND_NAME,
    CANAL_NAME,
    spine_labels,
)
from nnunet_textguided.dataset_conversion.label_maps.spineps import SPINEPS
from nnunet_textguided.dataset_conversion.label_maps.spineps_instances import INSTANCES_NAME, LOWEST_CHOICES
from nnunet_textguided.dataset_conversion.label_maps.table import TRANSITIONAL_CHOICES, Choices, shared_labels
from nnunet_textguided.dataset_conversion.relabelling.relabel_mask import Relabelling, relabel_mask
from nnunet_textguided.dataset_conversion.relabelling.relabel_paths import RECORD_FILE, MaskFiles, plan_files
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json, save_json_atomic

OWN_NAME = "textguided"
SOURCES: tuple[str, ...] = (*LABEL_MAPS, INSTANCES_NAME, OWN_NAME)
TARGETS: tuple[str, ...] = (OWN_NAME, *LABEL_MAPS)
_LABEL_FILES = ("dataset.json", RECORD_FILE, "../dataset.json")


@dataclass(frozen=True)
class RelabelOptions:
    """Choices that change what is written.

    Attributes:
        source: One of SOURCES or a JSON label map.
        target: One of TARGETS or a JSON label map.
        transitional: What structures of transitional anatomy become, one of TRANSITIONAL_CHOICES.
        codes: Source code to the name it becomes, whatever the label map says.
        canal: Keep the spinal canal as class 20 (only for the shared label set; others that have it always get it).
        lowest: For SPINEPS's instances, the level of the lowest vertebra.
        strict: Refuse a mask that holds structures the target does not have.
    """

    source: str
    target: str = OWN_NAME
    transitional: str = "error"
    codes: Mapping[int, str] = field(default_factory=dict)
    canal: bool = False
    lowest: str | None = None
    strict: bool = False


@dataclass(frozen=True)
class RelabelResult:
    """What a run did.

    Attributes:
        labels: Name to code of what was written.
        missing: Those of them that the source never annotates.
        files: File name to its record.
        problems: File name to why it was not written.
        record: The file that says all this, if any mask was written.
    """

    labels: dict[str, int]
    missing: list[str]
    files: dict[str, dict[str, Any]]
    problems: dict[str, str]
    record: Path


def relabel(source: Path, target: Path, options: RelabelOptions, *, overwrite: bool = False) -> RelabelResult:
    """Relabel a mask or every mask of a folder, and write down what was done.

    Args:
        source: A mask file or a folder of masks.
        target: The file or folder to write.
        options: What to do.
        overwrite: Replace files that are there already.

    Returns:
        What was written and what was not; a mask with a problem does not keep the others from being written.

    Raises:
        UserError: Options that do not go together, nothing to read, or nothing can be written.
    """
    _check_options(options)
    files = plan_files(Path(source), Path(target), overwrite)
    job, label_source = _job(files.folder, options)
    problems = {name: f"{name}: {problem}" for name, problem in files.problems.items()}
    done: dict[str, dict[str, Any]] = {}
    files.record.unlink(missing_ok=True)  # first, so that no interrupted run looks whole
    for mask, path in tqdm(files.targets.items(), desc=target.name, unit="mask"):
        try:
            done[path.name] = relabel_mask(mask, path, job)
            continue
        except CaseError as problem:
            reason = str(problem)
        except (RuntimeError, MemoryError) as error:  # ITK reports whatever it does not like as RuntimeError
            reason = f"relabelling failed: {str(error).strip() or type(error).__name__}"
        left = f". An older {path} is left as it is" if path.exists() else ""
        problems[mask.name] = f"{mask.name}: {reason}{left}"
    source_map = job.source or SPINEPS
    missing = [name for name in source_map.missing if name in job.labels]
    result = RelabelResult(dict(job.labels), missing, done, problems, files.record)
    if done:
        _write_record(result, files, options, source_map.licence, label_source)
    return result


def _check_options(options: RelabelOptions) -> None:
    """Refuse choices that do not exist or do not go together."""
    if options.transitional not in TRANSITIONAL_CHOICES:
        raise UserError(f"Expected one of {', '.join(TRANSITIONAL_CHOICES)}, got '{options.transitional}'.")
    if options.lowest is not None and options.source != INSTANCES_NAME:
        raise UserError(f"--lowest counts instances, so it needs --from {INSTANCES_NAME}, not {options.source}.")
    if options.lowest not in (None, *LOWEST_CHOICES):
        raise UserError(f"Expected one of {', '.join(LOWEST_CHOICES)} as the lowest level, got '{options.lowest}'.")
    if options.target != OWN_NAME and options.transitional in ("keep", "ignore"):
        raise UserError(
            f"--transitional {options.transitional} makes labels that {options.target} does not have. Those it has "
            "are kept anyway; choose background, or --map, for the rest."
        )


def _job(folder: Path, options: RelabelOptions) -> tuple[Relabelling, str]:
    """Return what to do with every mask, and where the names of its codes come from."""
    source, origin = _source_map(folder, options.source)
    choices = Choices(options.canal, options.transitional, dict(options.codes))
    for code, name in options.codes.items():
        check_name(name, OUR_NAMES, f"--map {code}={name}")
    if options.target == OWN_NAME:
        labels = shared_labels(source or SPINEPS, choices)
    else:
        labels = _named_map(options.target, TARGETS).written_codes()
        choices = replace(choices, canal=True)
    for code, name in options.codes.items():
        known = [BACKGROUND_NAME, *labels]
        if name not in known:
            canal = " Add --canal to keep it." if name == CANAL_NAME and options.target == OWN_NAME else ""
            raise UserError(f"--map {code}={name}: {options.target} has no {name}.{canal} It has {', '.join(known)}.")
    return Relabelling(source, labels, choices, options.lowest, options.strict), origin


def _source_map(folder: Path, name: str) -> tuple[LabelMap | None, str]:
    if name == INSTANCES_NAME:
        return None, INSTANCES_NAME
    if name != OWN_NAME:
        return _named_map(name, SOURCES), name
    for file in _LABEL_FILES:
        path = folder / file
        if path.is_file():
            return _own_map(load_json(path), path), str(path)
    own = _own_map({"labels": spine_labels()}, folder)
    hint = f"Codes above {len(own.codes)} are named by dataset.json; put it beside the masks"
    return replace(own, hint=hint), "the shared spine label set"


def _named_map(name: str, names: tuple[str, ...]) -> LabelMap:
    if name in LABEL_MAPS:
        return label_map(name)
    if name.endswith(".json"):
        return read_label_map(Path(name), OUR_NAMES)
    raise UserError(f"'{name}' is not a known label map. There are: {', '.join(names)}; or name a JSON file.")


def _own_map(content: Any, path: Path) -> LabelMap:
    """Make a label map of the `labels` of a dataset.json."""
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not all(type(code) is int and code >= 0 for code in labels.values()):
        raise UserError(f"{path}: expected 'labels' with one whole number a name (regions cannot be relabelled).")
    if labels.get(BACKGROUND_NAME, 0) != 0 or len(set(labels.values())) != len(labels):
        raise UserError(f"{path}: expected a code of its own for every label, and 0 for the background.")
    return LabelMap(OWN_NAME, {code: name for name, code in labels.items() if name != BACKGROUND_NAME})


def _write_record(
    result: RelabelResult, files: MaskFiles, options: RelabelOptions, licence: str, label_source: str
) -> None:
    content = {
        "folder": str(files.folder),
        "options": {**asdict(options), "codes": {str(code): name for code, name in options.codes.items()}},
        "names_from": label_source,
        "licence": licence,
        "labels": result.labels,
        "missing": result.missing,
        "files": dict(sorted(result.files.items())),
        "problems": result.problems,
    }
    save_json_atomic(content, result.record)
