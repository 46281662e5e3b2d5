"""Finds the scans in folders and files."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from nnunet_textguided.dataset_json import read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.labels_among_scans import is_label_folder, refuse_labels
from nnunet_textguided.pretraining.preprocessed_scans import configuration_folder, preprocessed_scans
from nnunet_textguided.pretraining.scan import Scan, ScanList
from nnunet_textguided.pretraining.scan_headers import (
    DICOM_ENDINGS,
    PICTURE_ENDINGS,
    VOLUME_ENDINGS,
    ending_of,
    read_header,
    slice_axis,
)

logger = logging.getLogger(__name__)

_SHOWN = 5  # reasons named where nothing could be read


def find_scans(sources: Sequence[str | Path], separate_channels: bool = True) -> ScanList:
    """Look through folders and files.

    Args:
        sources: nnU-Net raw or preprocessed data sets, folders (searched through, but for folders of labels) or single
            files: NIfTI, MHA, NRRD, PNG, DICOM.
        separate_channels: Take every sequence of a case as a scan of its own; False = keep nnU-Net's channels together.

    Returns:
        The scans, and the files left out.

    Raises:
        UserError: A source that is not there, no readable image in any of them (the first reasons are named), labels in
            the place of images, or scans of different numbers of channels.
    """
    found = ScanList()
    for source in map(Path, sources):
        if not source.exists():
            raise UserError(f"{source}: expected an image, a folder of images or an nnU-Net dataset; it is not there.")
        _search(found, source, separate_channels)
    found.scans.sort(key=lambda scan: (scan.name, scan.files))
    if not found.scans:
        reasons = "; ".join(f"{path}: {why}" for path, why in list(found.skipped.items())[:_SHOWN]) or "no such file"
        raise UserError(
            f"No readable image in {', '.join(map(str, sources))}. Expected {', '.join(VOLUME_ENDINGS)}, "
            f"{', '.join(PICTURE_ENDINGS + DICOM_ENDINGS)}. First reasons: {reasons}."
        )
    for path, why in found.skipped.items():
        logger.warning("left out %s: %s", path, why)
    refuse_labels(found.scans)
    channels = {scan.num_channels for scan in found.scans}
    if len(channels) > 1:
        raise UserError(f"Scans have {sorted(channels)} channels; they need the same number. Take channels apart.")
    return found


def _search(found: ScanList, source: Path, separate: bool) -> None:
    preprocessed = configuration_folder(source) if source.is_dir() else None
    if preprocessed is not None:
        found.scans.extend(preprocessed_scans(preprocessed, separate))
    elif (source / "dataset.json").is_file() and (source / "imagesTr").is_dir():
        for name, files in _nnunet_cases(source, separate):
            _add(found, name, files)
    elif source.is_file():
        _add(found, source.name, (source,))
    else:
        _search_folder(found, source, source)


def _search_folder(found: ScanList, folder: Path, source: Path) -> None:
    if is_label_folder(folder):
        found.skipped[folder] = "a folder of labels, by its name"
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            _search_folder(found, path, source)
        elif ending_of(path) is not None:
            _add(found, str(path.relative_to(source)), (path,))


def _nnunet_cases(folder: Path, separate: bool) -> Iterable[tuple[str, tuple[Path, ...]]]:
    description = read_dataset_json(folder / "dataset.json", ["file_ending", "channel_names"])
    ending, count = description["file_ending"], len(description["channel_names"])
    images = [path for part in ("imagesTr", "imagesTs") for path in sorted((folder / part).glob(f"*{ending}"))]
    if separate:
        for path in images:
            yield path.name, (path,)
        return
    for first in (path for path in images if path.name.endswith(f"_0000{ending}")):
        case = first.name.removesuffix(f"_0000{ending}")
        yield case, tuple(first.with_name(f"{case}_{channel:04d}{ending}") for channel in range(count))


def _add(found: ScanList, name: str, files: tuple[Path, ...]) -> None:
    headers = []
    for path in files:
        try:
            headers.append(read_header(path))
        except (RuntimeError, UserError, OSError) as error:
            found.skipped[path] = str(error).strip().splitlines()[-1]
            return
    if any(header[:2] != headers[0][:2] for header in headers):
        found.skipped[files[0]] = "its channels differ in size"
        return
    kind, size, spacing = headers[0]
    found.scans.append(Scan(name, files, kind, size, spacing, slice_axis(size, spacing)))
