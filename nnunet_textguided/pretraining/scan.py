"""A scan on disk: which files, how large, how many mm a voxel."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["volume", "picture", "dicom", "preprocessed"]


@dataclass(frozen=True)
class Scan:
    """One scan: its channels lie on one grid.

    Attributes:
        name: What to call it.
        files: One a channel; a preprocessed case of nnU-Net has all its channels in one file.
        kind: What the files are.
        size: Voxels along the file's axes (x, y, z); z is 1 for a picture.
        spacing: mm along (x, y, z); None where the file does not say.
        axis: Axis of `size` that slices are cut across.
        channels: Of a preprocessed case: which of its channels.
    """

    name: str
    files: tuple[Path, ...]
    kind: Kind
    size: tuple[int, int, int]
    spacing: tuple[float, float, float] | None
    axis: int
    channels: tuple[int, ...] = ()

    @property
    def num_slices(self) -> int:
        """How many slices it has."""
        return self.size[self.axis]

    @property
    def num_channels(self) -> int:
        """How many channels a slice has."""
        return len(self.channels) or len(self.files)


@dataclass
class ScanList:
    """What a search found.

    Attributes:
        scans: Readable scans, by name.
        skipped: File or folder -> why it was left out.
    """

    scans: list[Scan] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)
