"""SPIDER (Zenodo 10159290): images/<patient>_<sequence>.mha and masks/ of the same names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_conversion.base.conversion import RunSettings, run_conversion
from nnunet_textguided.dataset_conversion.base.description import DatasetDescription
from nnunet_textguided.dataset_conversion.base.file_cases import FileCase
from nnunet_textguided.dataset_conversion.base.manifest import Manifest
from nnunet_textguided.dataset_conversion.base.target import dataset_folder
from nnunet_textguided.dataset_conversion.label_maps.spider import (
    NOT_ANNOTATED,
    SEQUENCES,
    channel_name,
    spider_labels,
    spider_table,
)
from nnunet_textguided.dataset_conversion.own_findings import own_annotations_of, read_own_findings
from nnunet_textguided.dataset_conversion.spider_gradings import (
    GRADINGS_FILE,
    annotations_of,
    findings_block,
    gradings,
    read_gradings,
)
from nnunet_textguided.errors import UserError

_FILE_NAME = re.compile(rf"(\d+)_({'|'.join(SEQUENCES)})\.mha")
Series = dict[int, dict[str, Path]]


@dataclass(frozen=True)
class SpiderOptions:
    """Choices that change what is written.

    Attributes:
        sequences: Convert these, each series a case of its own; empty = every sequence that is present.
        channels: Instead, make one case of every patient who has all of these, one channel each.
        canal: Keep the spinal canal as a class.
        partial: What partially visible vertebrae become: vertebra, background or ignore.
        above: What lies above T9 becomes: background or ignore.
        modic: Smallest Modic type that counts as a finding.
        pfirrmann: Smallest Pfirrmann grade that counts as disc degeneration.
    """

    sequences: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    canal: bool = False
    partial: str = "vertebra"
    above: str = "background"
    modic: int = 1
    pfirrmann: int = 4

    def check(self) -> None:
        """Refuse choices that contradict each other.

        Raises:
            UserError: Both sequences and channels, a single channel, one named twice, or a grade that does not exist.
        """
        gradings(self.modic, self.pfirrmann)
        if self.sequences and self.channels:
            raise UserError("Give either --sequences (a case each) or --channels (one case a patient), not both.")
        if len(self.channels) == 1:
            raise UserError("--channels needs at least two sequences; for one use --sequences.")
        for chosen in (self.sequences, self.channels):
            unknown = [name for name in chosen if name not in SEQUENCES]
            if unknown or len(set(chosen)) < len(chosen):
                raise UserError(f"Expected each of {', '.join(SEQUENCES)} at most once, got {' '.join(chosen)}.")


def convert_spider(
    source: Path,
    dataset_id: int,
    name: str = "SPIDER",
    options: SpiderOptions | None = None,
    settings: RunSettings | None = None,
) -> tuple[Path, Manifest]:
    """Convert SPIDER, in full or any part of it, to an nnU-Net raw data set.

    Args:
        source: Folder with `images` and `masks`.
        dataset_id: nnU-Net's number of the data set.
        name: Its name.
        options: What to convert and how.
        settings: How to run.

    Returns:
        The folder written, and the manifest, whose `problems` say what could not be converted.

    Raises:
        UserError: Nothing found, the target may not be used or written to, bad splits, or no case is convertible.
    """
    options = options or SpiderOptions()
    options.check()
    source = Path(source).absolute()
    folder = dataset_folder(dataset_id, name)
    series, problems = find_series(source)
    sequences = [sequence for sequence in SEQUENCES if any(sequence in found for found in series.values())]
    if options.sequences:
        sequences = [sequence for sequence in SEQUENCES if sequence in options.sequences]
    tasks, skipped = _tasks(series, sequences, options, source, folder)
    if not tasks:
        raise UserError(_nothing_found(source, series, problems, options))
    channels = [[sequence] for sequence in options.channels] or [sequences]
    labels = spider_labels(options.canal, options.partial, options.above)
    description = DatasetDescription(
        name="SPIDER lumbar spine MRI",
        channel_names=tuple(channel_name(channel) for channel in channels),
        labels=labels,
        missing={"spider": list(NOT_ANNOTATED)},
        reference="https://doi.org/10.5281/zenodo.10159290",
        licence="CC BY 4.0",
        **_findings(source, options, list(labels)),
    )
    fresh = Manifest("spider", _as_json(options, sequences), str(source), problems=problems, skipped=skipped)
    manifest = run_conversion(tasks, description, fresh, folder, settings or RunSettings())
    return folder, manifest


def _findings(source: Path, options: SpiderOptions, labels: Sequence[str]) -> dict[str, Any]:
    """What findings.csv, else the radiologist's gradings, add to the description; nothing where neither is there."""
    own = read_own_findings(source, labels)
    if own is not None:
        block, annotations = own
        return {"findings": block, "annotate": partial(own_annotations_of, found=annotations)}
    path = source / GRADINGS_FILE
    if not path.is_file():
        return {}
    chosen = gradings(options.modic, options.pfirrmann)
    return {
        "findings": findings_block(chosen),
        "annotate": partial(annotations_of, found=read_gradings(path, chosen)),
    }


def find_series(source: Path) -> tuple[Series, dict[str, str]]:
    """List the series that have an image or a mask; that each has both is seen when it is converted.

    Args:
        source: Folder with `images` and `masks`.

    Returns:
        Patient to sequence to image file, and what is wrong with other .mha files, by name.

    Raises:
        UserError: One of the two folders is missing.
    """
    for sub in ("images", "masks"):
        if not (source / sub).is_dir():
            raise UserError(
                f"Expected SPIDER's folders 'images' and 'masks' in {source}, '{sub}' is not there. Name the folder "
                "they were unpacked to (images.zip and masks.zip of the release)."
            )
    series: Series = defaultdict(dict)
    problems: dict[str, str] = {}
    for name in sorted({path.name for sub in ("images", "masks") for path in (source / sub).glob("[!.]*.mha")}):
        match = _FILE_NAME.fullmatch(name)
        if match is None:
            wanted = f"<patient number>_<{'|'.join(SEQUENCES)}>.mha"
            problems[name] = f"{name}: expected a file named {wanted}; rename or remove it"
        elif (sequence := match[2]) in series[int(match[1])]:
            other = series[int(match[1])][sequence].name
            problems[name] = f"{name}: is the same patient and sequence as {other}; remove one of them"
        else:
            series[int(match[1])][sequence] = source / "images" / name
    return dict(sorted(series.items())), problems


def _tasks(
    series: Series, sequences: Sequence[str], options: SpiderOptions, source: Path, target: Path
) -> tuple[list[FileCase], dict[str, str]]:
    """Make a task of every case, and list the patients who have none."""
    table = spider_table(options.canal, options.partial, options.above)
    tasks, skipped = [], {}
    for patient, found in series.items():
        cases = _cases_of_patient(patient, found, sequences, options.channels)
        if not cases:
            wanted = " and ".join(options.channels) if options.channels else " or ".join(sequences)
            skipped[f"spider_{patient:03d}"] = f"has {', '.join(found)}, not {wanted}"
        for case, images in cases.items():
            mask = source / "masks" / images[0].name
            owner = f"spider_{patient:03d}"
            tasks.append(
                FileCase(case=case, patient=owner, images=images, mask=mask, table=table, source=source, target=target)
            )
    return tasks, skipped


def _cases_of_patient(
    patient: int, found: Mapping[str, Path], sequences: Sequence[str], channels: Sequence[str]
) -> dict[str, tuple[Path, ...]]:
    """Return case id to one image file a channel."""
    case = f"spider_{patient:03d}"
    if channels:
        return {case: tuple(found[channel] for channel in channels)} if set(channels) <= set(found) else {}
    if len(sequences) == 1:
        return {case: (found[sequences[0]],)} if sequences[0] in found else {}
    return {f"{case}_{sequence}": (found[sequence],) for sequence in sequences if sequence in found}


def _nothing_found(source: Path, series: Series, problems: Mapping[str, str], options: SpiderOptions) -> str:
    present = sorted({sequence for found in series.values() for sequence in found})
    asked = " and ".join(options.channels) or " or ".join(options.sequences) or "any sequence"
    lines = "".join(f"\n  {problem}" for problem in problems.values())
    return f"No case to convert in {source}: asked for {asked}, found {', '.join(present) or 'none'}.{lines}"


def _as_json(options: SpiderOptions, sequences: Sequence[str]) -> dict[str, Any]:
    """Return what two runs must share to be one conversion; the sequences found count, as they make the case names."""
    return {
        "sequences": [] if options.channels else list(sequences),
        "channels": list(options.channels),
        "canal": options.canal,
        "partial": options.partial,
        "above": options.above,
        "modic": options.modic,
        "pfirrmann": options.pfirrmann,
    }
