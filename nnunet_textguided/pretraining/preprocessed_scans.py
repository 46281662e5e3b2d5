"""Cases that nnU-Net has preprocessed: resampled to the plan's spacing, normalised, all channels in one array."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.plans_json import read_plans
from nnunet_textguided.pretraining.scan import Scan

SLICE_AXIS = 2
"""nnU-Net's 2D configuration slices along the first axis of its arrays, which is the last of (x, y, z)."""


def configuration_folder(source: Path) -> Path | None:
    """The folder of preprocessed cases to read; None if the folder is no preprocessed data set of nnU-Net.

    Args:
        source: A data set under nnUNet_preprocessed (its 2D configuration is taken, else the first that there is), or
            the folder of one of its configurations.

    Raises:
        UserError: A data set that was planned and not preprocessed.
    """
    if any(source.glob("*.pkl")) and any(source.parent.glob("*Plans*.json")):
        return source
    plans = sorted(source.glob("*Plans*.json"))
    if not plans or (source / "imagesTr").is_dir():
        return None
    folders = [source / entry["data_identifier"] for file in plans for entry in _configurations(file).values()]
    there = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
    if not there:
        raise UserError(f"{source}: expected preprocessed cases; run nnUNetv2_preprocess for this data set first.")
    return next((folder for folder in there if folder.name.endswith("_2d")), there[0])


def _configurations(plans: Path) -> dict[str, dict[str, Any]]:
    """Configurations that say where their data lie (others inherit from them)."""
    entries = read_plans(plans)["configurations"]
    return {name: entry for name, entry in entries.items() if "data_identifier" in entry and "spacing" in entry}


def preprocessed_scans(folder: Path, separate_channels: bool) -> Iterator[Scan]:
    """Every case of a configuration.

    Args:
        folder: Of `configuration_folder`.
        separate_channels: Every channel is a scan of its own.
    """
    spacing = _spacing_of(folder)
    for case in _dataset(folder).identifiers:
        channels, *size = _dataset(folder).load_case(case)[0].shape
        groups = [(channel,) for channel in range(channels)] if separate_channels else [tuple(range(channels))]
        for group in groups:
            name = f"{case}_{group[0]:04d}" if separate_channels else case
            path, shape = folder / case, (size[2], size[1], size[0])
            yield Scan(name, (path,), "preprocessed", shape, spacing, SLICE_AXIS, group)


def _spacing_of(folder: Path) -> tuple[float, float, float] | None:
    """Pixel size along (x, y, z) in mm of the configuration with these data; None if no plans name the folder."""
    for plans in sorted(folder.parent.glob("*Plans*.json")):
        for entry in _configurations(plans).values():
            if entry["data_identifier"] == folder.name:
                x, y, *z = reversed(entry["spacing"])
                return (x, y, z[0] if z else 1.0)
    return None


def read_preprocessed(scan: Scan, index: int) -> np.ndarray:
    """Read one slice, (C, H, W).

    Args:
        scan: Of `preprocessed_scans`.
        index: Number of the slice.

    Raises:
        UserError: The case cannot be read any more.
    """
    (path,) = scan.files
    try:
        data = _dataset(path.parent).load_case(path.name)[0]
        return np.stack([np.asarray(data[channel, index]) for channel in scan.channels])
    except (OSError, RuntimeError, ValueError, KeyError, IndexError) as error:
        raise UserError(f"{path}: the preprocessed case could not be read: {error}") from error


@lru_cache(maxsize=8)
def _dataset(folder: Path) -> Any:
    """nnU-Net's own reader; it holds names only."""
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class

    return infer_dataset_class(str(folder))(str(folder))
