"""Several converted data sets as one, so that what each of them knows is learned in one training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_conversion.base.conversion import RunSettings, run_conversion
from nnunet_textguided.dataset_conversion.base.description import DatasetDescription
from nnunet_textguided.dataset_conversion.base.file_cases import FileCase
from nnunet_textguided.dataset_conversion.base.manifest import Manifest
from nnunet_textguided.dataset_conversion.base.splits import SPLITS_FILE, Splits, load_splits
from nnunet_textguided.dataset_conversion.base.target import FILE_ENDING, IMAGES, LABELS, dataset_folder
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import BACKGROUND_NAME, IGNORE_NAME
from nnunet_textguided.dataset_json import block_of, read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import FINDINGS_FILE, Annotation, read_findings
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.nnunet_paths import require_paths


@dataclass(frozen=True)
class Part:
    """One of the data sets.

    Attributes:
        folder: nnUNet_raw/DatasetXXX_Name.
        content: Its dataset.json.
        patients: Case -> patient.
        annotations: What its findings.csv says.
        splits: Its splits, None where it has none.
    """

    folder: Path
    content: dict[str, Any]
    patients: dict[str, str]
    annotations: list[Annotation]
    splits: Splits | None

    @property
    def structures(self) -> list[str]:
        """Its labels in the order of their codes, without background and ignore."""
        return [
            name
            for name in sorted(self.labels, key=self.labels.__getitem__)
            if name not in (BACKGROUND_NAME, IGNORE_NAME)
        ]

    @property
    def labels(self) -> dict[str, int]:
        """Name -> code."""
        return self.content["labels"]

    @property
    def block(self) -> dict[str, Any]:
        """Its entry `text_guidance`."""
        return block_of(self.content, self.folder / "dataset.json")


def combine(
    dataset_ids: Sequence[int], dataset_id: int, name: str = "Combined", settings: RunSettings | None = None
) -> tuple[Path, Manifest]:
    """Write the cases of several raw data sets as one data set.

    The labels are those of all of them; a structure that one of them does not have is declared as missing from its
    cases, so that its background is not taken for free of it. Findings are joined by name. Folds are joined one by one,
    as many as the data set with the fewest has, so that what was held out stays held out.

    Args:
        dataset_ids: nnU-Net's numbers of the data sets, all in one orientation and with the same channels.
        dataset_id: Number of the new one.
        name: Its name.
        settings: How to run.

    Returns:
        The folder written, and the manifest.

    Raises:
        UserError: Fewer than two, one that is not there, or they do not fit together; the text says in what.
    """
    if len(set(dataset_ids)) < 2 or len(set(dataset_ids)) < len(dataset_ids):
        raise UserError(f"Expected the ids of two data sets or more, each once, got {' '.join(map(str, dataset_ids))}.")
    folder = dataset_folder(dataset_id, name)
    raw = require_paths("nnUNet_raw")["nnUNet_raw"]
    parts = [_read_part(raw, number) for number in dataset_ids]
    _check_fit(parts)
    labels = _joined_labels(parts)
    tasks = [task for part in parts for task in _tasks(part, labels, raw, folder)]
    annotations = [annotation for part in parts for annotation in part.annotations]
    description = DatasetDescription(
        name=" + ".join(part.content.get("name") or part.folder.name for part in parts),
        channel_names=_channel_names(parts),
        labels=labels,
        missing=_joined_missing(parts, labels),
        terms=_joined(parts, "terms"),
        reference="; ".join(dict.fromkeys(filter(None, (part.content.get("reference") for part in parts)))),
        licence="; ".join(dict.fromkeys(filter(None, (part.content.get("licence") for part in parts)))),
        findings=_joined_findings(parts),
        annotate=(lambda cases: [a for a in annotations if a.case in cases]) if annotations else None,
    )
    fresh = Manifest("combined", {"datasets": [part.folder.name for part in parts]}, str(raw))
    splits = _joined_splits(parts)
    return folder, run_conversion(tasks, description, fresh, folder, settings or RunSettings(), splits)


def _read_part(raw: Path, number: int) -> Part:
    folders = sorted(path for path in raw.glob(f"Dataset{number:03d}_*") if (path / "dataset.json").is_file())
    if len(folders) != 1:
        raise UserError(f"Expected one finished data set {number} in {raw}, found {len(folders)}.")
    content = read_dataset_json(folders[0] / "dataset.json", ("labels", "file_ending", "channel_names"))
    if content["file_ending"] != FILE_ENDING:
        raise UserError(f"{folders[0]}: expected {FILE_ENDING} files, got {content['file_ending']}.")
    cases = sorted(path.name.removesuffix(FILE_ENDING) for path in (folders[0] / LABELS).glob(f"[!.]*{FILE_ENDING}"))
    manifest = Manifest.load(folders[0])
    records = manifest.cases if manifest else {}
    patients = {case: f"{folders[0].name}/{records.get(case, {}).get('patient', case)}" for case in cases}
    splits_file = folders[0] / SPLITS_FILE
    splits = load_splits(splits_file, patients) if splits_file.is_file() else None
    part = Part(folders[0], content, patients, [], splits)
    declared = part.block.get("findings", {})
    if not declared or not (folders[0] / FINDINGS_FILE).is_file():
        return part
    vocabulary = FindingVocabulary.from_block(declared, part.structures)
    found = read_findings(folders[0] / FINDINGS_FILE, vocabulary, set(cases))
    return replace(part, annotations=[annotation for case in cases for annotation in found.of_case(case)])


def _check_fit(parts: Sequence[Part]) -> None:
    """Refuse data sets whose images or names do not fit together."""
    first = parts[0]
    for part in parts[1:]:
        pair = f"{first.folder.name} and {part.folder.name}"
        numbers = [len(each.content["channel_names"]) for each in (first, part)]
        if numbers[0] != numbers[1]:
            raise UserError(f"{pair} have {numbers[0]} and {numbers[1]} channels; convert them with the same ones.")
        orientations = [each.block.get("orientation") for each in (first, part)]
        if orientations[0] != orientations[1]:
            raise UserError(
                f"{pair} lie in the orientations {orientations[0]} and {orientations[1]}; convert them again."
            )
    owner: dict[str, str] = {}
    for part in parts:
        for case in part.patients:
            if owner.setdefault(case, part.folder.name) != part.folder.name:
                raise UserError(
                    f"{owner[case]} and {part.folder.name} both have a case {case}. Convert one under another name."
                )


def _tasks(part: Part, labels: Mapping[str, int], raw: Path, target: Path) -> list[FileCase]:
    table = {code: labels[name] for name, code in part.labels.items()}
    numbers = range(len(part.content["channel_names"]))
    return [
        FileCase(
            case=case,
            patient=patient,
            images=tuple(part.folder / IMAGES / f"{case}_{number:04d}{FILE_ENDING}" for number in numbers),
            mask=part.folder / LABELS / f"{case}{FILE_ENDING}",
            table=table,
            source=raw,
            target=target,
        )
        for case, patient in part.patients.items()
    ]


def _joined_labels(parts: Sequence[Part]) -> dict[str, int]:
    """All structures in the order in which they come up, and the ignore label last, as nnU-Net wants it."""
    regions = [part.folder.name for part in parts if any(isinstance(code, list) for code in part.labels.values())]
    if regions:
        raise UserError(f"{', '.join(regions)}: labels that are regions cannot be combined.")
    names = [BACKGROUND_NAME, *dict.fromkeys(name for part in parts for name in part.structures)]
    if any(IGNORE_NAME in part.labels for part in parts):
        names.append(IGNORE_NAME)
    return {name: code for code, name in enumerate(names)}


def _channel_names(parts: Sequence[Part]) -> tuple[str, ...]:
    """Each channel's name; where they differ it is MRI, which nnU-Net normalises by z-score like any other sequence."""
    by_channel = zip(*(part.content["channel_names"].values() for part in parts), strict=True)
    return tuple(names[0] if len(set(names)) == 1 else "MRI" for names in by_channel)


def _joined_missing(parts: Sequence[Part], labels: Mapping[str, int]) -> dict[str, list[str]]:
    """What each source does not annotate: what it says itself, and what only another data set has.

    A source is what its cases' names begin with, up to the first `_`.
    """
    missing: dict[str, list[str]] = {}
    for part in parts:
        absent = [name for name in labels if name not in part.labels and name not in (BACKGROUND_NAME, IGNORE_NAME)]
        declared = part.block.get("missing", {})
        for source in sorted({*declared, *(case.partition("_")[0] for case in part.patients)}):
            names = list(dict.fromkeys([*declared.get(source, []), *absent]))
            if missing.setdefault(source, names) != names:
                raise UserError(
                    f"{part.folder.name}: its cases {source}_... lack {names}, those of another data set "
                    f"{missing[source]}. Convert one of the two under another name, so that cases can be told apart."
                )
    return {source: names for source, names in missing.items() if names}


def _joined(parts: Sequence[Part], key: str) -> dict[str, Any]:
    """Join entries of the blocks, which must not contradict each other."""
    joined: dict[str, Any] = {}
    for part in parts:
        for name, value in part.block.get(key, {}).items():
            if joined.setdefault(name, value) != value:
                raise UserError(f"{part.folder.name}: {key} {name!r} is {value!r}, elsewhere {joined[name]!r}.")
    return joined


def _joined_findings(parts: Sequence[Part]) -> dict[str, Any]:
    """Join the declarations; a finding of one name applies to the structures of all."""
    joined: dict[str, Any] = {}
    for part in parts:
        for name, entry in part.block.get("findings", {}).items():
            term = entry.get("term") or name
            before = joined.setdefault(name, {"term": term, "applies_to": []})
            if before["term"] != term:
                raise UserError(f"{part.folder.name}: finding {name!r} means {term!r}, elsewhere {before['term']!r}.")
            before["applies_to"] = list(dict.fromkeys([*before["applies_to"], *entry["applies_to"]]))
    return joined


def _joined_splits(parts: Sequence[Part]) -> Splits | None:
    """Join fold by fold, so that what a data set holds out stays held out; None where no data set has folds.

    As many folds as the data set with the fewest; the cases of one without folds are always trained on.
    """
    counts = [len(part.splits) for part in parts if part.splits]
    if not counts:
        return None
    joined: Splits = [{"train": [], "val": []} for _ in range(min(counts))]
    for part in parts:
        for fold, split in enumerate(joined):
            own = part.splits[fold] if part.splits else {"train": sorted(part.patients), "val": []}
            for side, cases in split.items():
                cases.extend(own[side])
    return joined
