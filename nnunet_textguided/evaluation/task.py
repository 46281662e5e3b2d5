"""What is to be scored: a data set's structures, which of them count for the headline, what a source leaves out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_json import check_dataset_json, read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json
from nnunet_textguided.sources import declared_missing, not_annotated
from nnunet_textguided.spine import SPINE_STRUCTURES


class EvaluationError(UserError):
    """Truth and prediction cannot be compared as they are."""


@dataclass(frozen=True)
class Structure:
    """One thing to score.

    Attributes:
        name: Its label name.
        code: Label code, or the codes of a region.
        in_headline: Whether it counts for the headline.
    """

    name: str
    code: int | tuple[int, ...]
    in_headline: bool

    @property
    def code_text(self) -> str:
        """The code as it stands in the table; a region's codes are joined by +."""
        return "+".join(map(str, self.code)) if isinstance(self.code, tuple) else str(self.code)


@dataclass(frozen=True)
class EvaluationTask:
    """What a dataset.json says about scoring.

    Attributes:
        structures: In the order of the labels.
        ignore_label: Code of voxels of the truth that count for nothing, or None.
        known_codes: Every code a mask may hold.
        missing: Source -> names its truth does not annotate (dataset.json text_guidance.missing).
        file_ending: Of truth and predictions.
        dataset_json: The content it was read from.
        origin: The file it was read from.
    """

    structures: tuple[Structure, ...]
    ignore_label: int | None
    known_codes: frozenset[int]
    missing: dict[str, frozenset[str]]
    file_ending: str
    dataset_json: dict[str, Any]
    origin: Path

    @property
    def headline_names(self) -> list[str]:
        """Names of the structures that count for the headline."""
        return [structure.name for structure in self.structures if structure.in_headline]

    def not_annotated(self, case: str) -> frozenset[str]:
        """Return the structures the source of a case does not annotate.

        Args:
            case: Its name; it belongs to the source it begins with (spider_005 to spider).
        """
        return not_annotated(case, self.missing)


def find_dataset_json(truth: Path, prediction: Path, given: str | Path | None = None) -> Path:
    """Return the dataset.json that says what the codes mean.

    Looked for beside the predictions, in the model folder they are in (fold_X/validation), and beside or above the
    truth.

    Args:
        truth: Folder of label files.
        prediction: Folder of predictions.
        given: The user's own choice.

    Raises:
        EvaluationError: None found, or those of prediction and truth name other labels.
    """
    if given is not None:
        if not Path(given).is_file():
            raise EvaluationError(f"Expected a dataset.json at {given}, found none.")
        return Path(given)
    prediction, truth = prediction.resolve(), truth.resolve()
    beside_prediction = [prediction, *([prediction.parents[1]] if prediction.parent.name.startswith("fold_") else [])]
    found = [
        next((folder / "dataset.json" for folder in folders if (folder / "dataset.json").is_file()), None)
        for folders in (beside_prediction, [truth, truth.parent])
    ]
    existing = [file for file in found if file is not None]
    if not existing:
        raise EvaluationError(
            f"No dataset.json beside {prediction} or {truth}. Name the one of the data set with --dataset-json."
        )
    labels = [read_dataset_json(file, ["labels"])["labels"] for file in existing]
    if any(other != labels[0] for other in labels[1:]):
        raise EvaluationError(
            f"{existing[0]} and {existing[1]} do not name the same labels, so codes of prediction and truth may mean "
            "different structures. If they are comparable, choose one with --dataset-json."
        )
    return existing[0]


def read_task(dataset_json_file: Path, exclude: Iterable[str] = ()) -> EvaluationTask:
    """Read a dataset.json.

    Args:
        dataset_json_file: nnU-Net's dataset.json, with or without the block text_guidance.
        exclude: Names that shall not count for the headline.

    Raises:
        EvaluationError: It lacks labels or file_ending, or an excluded or missing name is none of its labels.
    """
    content = load_json(dataset_json_file)
    for key in ("labels", "file_ending"):
        if not isinstance(content, dict) or key not in content:
            raise EvaluationError(f"{dataset_json_file} lacks {key!r}: it is not nnU-Net's dataset.json.")
    check_dataset_json(content, dataset_json_file)
    manager = _label_manager(content, dataset_json_file)
    codes = {
        name: tuple(int(v) for v in value) if isinstance(value, list | tuple) else int(value)
        for name, value in content["labels"].items()
        if name not in ("background", "ignore")
    }
    missing = declared_missing(content)
    for what, names in (("--exclude", frozenset(exclude)), *((f"missing of {s}", n) for s, n in missing.items())):
        if names - codes.keys():
            raise EvaluationError(
                f"{what} names {', '.join(sorted(names - codes.keys()))}, which {dataset_json_file} does not have. "
                f"Its structures: {', '.join(codes)}."
            )
    headline = headline_structures(codes, exclude)
    if not headline:
        raise EvaluationError("No structure is left for the headline: exclude fewer.")
    structures = tuple(Structure(name, code, name in headline) for name, code in codes.items())
    known = frozenset(int(code) for code in manager.all_labels)
    if manager.ignore_label is not None:
        known |= {manager.ignore_label}
    return EvaluationTask(
        structures, manager.ignore_label, known, missing, content["file_ending"], content, dataset_json_file
    )


def headline_structures(names: Iterable[str], exclude: Iterable[str] = ()) -> frozenset[str]:
    """Return what counts for the headline: the 19 spinal structures where all are labels, else every label.

    Args:
        names: Label names of the data set, without background.
        exclude: Names that shall not count.
    """
    own, spine = frozenset(names), frozenset(SPINE_STRUCTURES)
    return (spine if own >= spine else own) - frozenset(exclude)


def _label_manager(content: dict[str, Any], origin: Path) -> Any:
    """nnU-Net's own reading of labels, regions and ignore label; its assertions become one clear error."""
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

    try:
        return LabelManager(content["labels"], content.get("regions_class_order"))
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise EvaluationError(f"nnU-Net does not accept the labels of {origin}: {error}") from error
