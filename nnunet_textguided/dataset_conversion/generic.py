"""Any folder of image and mask files, with a label map given as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from nnunet_textguided.dataset_conversion.base.conversion import RunSettings, run_conversion
from nnunet_textguided.dataset_conversion.base.description import DatasetDescription
from nnunet_textguided.dataset_conversion.base.file_cases import FileCase
from nnunet_textguided.dataset_conversion.base.manifest import Manifest
from nnunet_textguided.dataset_conversion.base.names import case_name
from nnunet_textguided.dataset_conversion.base.pairing import FoundCases, NamePattern, complete_cases, find_cases
from nnunet_textguided.dataset_conversion.base.target import dataset_folder
from nnunet_textguided.dataset_conversion.generic_labels import read_labels
from nnunet_textguided.dataset_conversion.own_findings import read_findings_by_case
from nnunet_textguided.errors import UserError


@dataclass(frozen=True)
class GenericOptions:
    """Choices that change what is written.

    Attributes:
        images: Folder of images inside the source.
        masks: Folder of masks inside the source.
        image_name: What image files are called, with `{case}` and, with several channels, `{channel}`.
        mask_name: What mask files are called, with `{case}`.
        channels: What stands for `{channel}` in the names; also the channels' names.
        patient: Regular expression that finds the patient in the case's name (its first group); empty = each case is a
            patient.
        keep_unlabelled: Take images without mask, too; all of their voxels get nnU-Net's ignore label.
        reference: Where the data come from.
        licence: Under which terms.
    """

    images: str = "images"
    masks: str = "labels"
    image_name: str = "{case}"
    mask_name: str = "{case}"
    channels: tuple[str, ...] = ("MRI",)
    patient: str = ""
    keep_unlabelled: bool = False
    reference: str = ""
    licence: str = ""

    def patient_of(self, name: str) -> str:
        """Return the patient of a case.

        Args:
            name: The case as its files call it.

        Raises:
            UserError: The expression finds none.
        """
        if not self.patient:
            return name
        try:
            found = re.search(self.patient, name)
            return found[1] if found is not None else _no_patient(self.patient, name)
        except (re.error, IndexError) as error:
            raise UserError(
                f"--patient {self.patient}: expected a regular expression with one group ({error})."
            ) from error


def _no_patient(expression: str, name: str) -> str:
    raise UserError(f"--patient {expression}: finds no patient in {name!r}. Every case needs one.")


def convert_generic(
    source: Path,
    label_map: Path,
    dataset_id: int,
    name: str,
    options: GenericOptions | None = None,
    settings: RunSettings | None = None,
) -> tuple[Path, Manifest]:
    """Convert a folder of image and mask files to an nnU-Net raw data set.

    Args:
        source: Folder of the data set.
        label_map: JSON that says what the codes of the masks mean.
        dataset_id: nnU-Net's number of the data set.
        name: Its name; its cases' names begin with it, in small letters.
        options: What the files are called.
        settings: How to run.

    Returns:
        The folder written, and the manifest, whose `problems` say what could not be converted.

    Raises:
        UserError: Nothing found, the target may not be used or written to, bad splits, or no case is convertible.
    """
    options = options or GenericOptions()
    source = Path(source).absolute()
    folder = dataset_folder(dataset_id, name)
    labels = read_labels(Path(label_map), options.keep_unlabelled)
    found, cases = _find(source, options)
    prefix = case_name(name).lower()
    names = {case: case if case.startswith(f"{prefix}_") else f"{prefix}_{case}" for case in cases}
    tasks = [
        FileCase(
            case=names[case],
            patient=options.patient_of(case),
            images=images,
            mask=mask,
            table=labels.table,
            ignore=labels.labels.get("ignore"),
            source=source,
            target=folder,
        )
        for case, (images, mask) in cases.items()
    ]
    description = DatasetDescription(
        name=name,
        channel_names=options.channels,
        labels=labels.labels,
        missing={prefix: labels.missing} if labels.missing else {},
        reference=options.reference,
        licence=options.licence,
        **read_findings_by_case(source, list(labels.labels), names),
    )
    table = {str(code): target for code, target in sorted(labels.table.items())}
    fresh = Manifest("generic", {**_as_json(options), "table": table}, str(source), problems=found.problems)
    return folder, run_conversion(tasks, description, fresh, folder, settings or RunSettings())


def _find(
    source: Path, options: GenericOptions
) -> tuple[FoundCases, Mapping[str, tuple[tuple[Path, ...], Path | None]]]:
    """Find the files, and case -> its channels and mask."""
    pattern = NamePattern(options.image_name, options.channels)
    found = find_cases(source, (options.images, pattern), (options.masks, NamePattern(options.mask_name)))
    channels = options.channels if "{channel}" in options.image_name else ("",)
    cases = complete_cases(found, channels, options.keep_unlabelled)
    if not cases:
        lines = "".join(f"\n  {problem}" for problem in found.problems.values())
        raise UserError(
            f"No case in {source}: images are looked for as {options.images}/{options.image_name}, masks as "
            f"{options.masks}/{options.mask_name}.{lines}"
        )
    return found, cases


def _as_json(options: GenericOptions) -> dict[str, object]:
    return {**asdict(options), "channels": list(options.channels)}
