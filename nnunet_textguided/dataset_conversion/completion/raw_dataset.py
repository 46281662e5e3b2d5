"""A raw data set of nnU-Net as completion sees it: its cases, and how much of each is annotated."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.base.geometry import read_mask, read_volume
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.base.target import IMAGES, LABELS
from nnunet_textguided.errors import UserError
from nnunet_textguided.evaluation.task import read_task
from nnunet_textguided.inference.input_cases import find_cases
from nnunet_textguided.nnunet_paths import require_paths


class Annotated(Enum):
    """How much of a case has a label."""

    NOTHING = "nothing"
    PART = "part"
    ALL = "all"


@dataclass(frozen=True)
class RawDataset:
    """A data set in nnUNet_raw.

    Attributes:
        folder: nnUNet_raw/DatasetXXX_Name.
        labels: Name -> code as in dataset.json, background and ignore included.
        ignore: Code of voxels that nobody annotated, or None where the data set has no such label.
        channels: Channel names.
        ending: Of images and label maps.
        images: Case -> one file a channel.
    """

    folder: Path
    labels: dict[str, int]
    ignore: int | None
    channels: tuple[str, ...]
    ending: str
    images: dict[str, list[Path]]

    @classmethod
    def open(cls, dataset: str) -> RawDataset:
        """Find and read a data set.

        Args:
            dataset: Id or name.

        Raises:
            UserError: nnUNet_raw is not set, no such data set, or a dataset.json or imagesTr that nnU-Net cannot use.
        """
        folder = _find_folder(dataset)
        task = read_task(folder / "dataset.json")
        labels = task.dataset_json["labels"]
        regions = [name for name, code in labels.items() if not isinstance(code, int)]
        if regions:
            raise UserError(
                f"{folder / 'dataset.json'}: {', '.join(regions)} are regions of several codes. Masks can be completed "
                "only where every label has one code."
            )
        channels = task.dataset_json.get("channel_names") or task.dataset_json.get("modality")
        if not isinstance(channels, dict):
            raise UserError(f"{folder / 'dataset.json'} lacks 'channel_names': it is not nnU-Net's dataset.json.")
        images = find_cases(folder / IMAGES, task.file_ending, len(channels))
        return cls(folder, labels, task.ignore_label, tuple(channels.values()), task.file_ending, images)

    @property
    def structures(self) -> dict[int, str]:
        """Code -> name, without background and ignore."""
        return {code: name for name, code in self.labels.items() if code not in (0, self.ignore)}

    def choose(self, cases: Sequence[str] | None) -> list[str]:
        """Return the cases that a user names, all of them where none are named.

        Args:
            cases: Case identifiers.

        Raises:
            UserError: The data set has no such case; so names that lead to other folders are refused too.
        """
        for case in cases or ():
            if case not in self.images:
                near = difflib.get_close_matches(case, self.images, n=3) or sorted(self.images)[:3]
                raise UserError(f"{self.folder} has no case {case!r}. It has {len(self.images)}, such as {near}.")
        return sorted(self.images) if cases is None else sorted(set(cases))

    def label_path(self, case: str) -> Path:
        """Return where the label map of a case is.

        Args:
            case: Case identifier.
        """
        return self.folder / LABELS / f"{case}{self.ending}"

    def read_image(self, case: str) -> sitk.Image:
        """Read the first channel of a case, on whose grid its masks lie.

        Args:
            case: Case identifier.

        Raises:
            CaseError: It cannot be used.
        """
        return read_volume(self.images[case][0])

    def read_labels(self, case: str) -> sitk.Image | None:
        """Read the label map of a case, None where there is no file.

        Args:
            case: Case identifier.

        Raises:
            CaseError: It cannot be used, or holds codes that dataset.json does not name.
        """
        path = self.label_path(case)
        if not path.is_file():
            return None
        mask = read_mask(path)
        self.check_codes(mask, path)
        return mask

    def annotated(self, mask: sitk.Image | None) -> Annotated:
        """Tell how much of a case is annotated.

        Args:
            mask: Its label map, None where there is none.
        """
        if mask is None:
            return Annotated.NOTHING
        unknown = sitk.GetArrayViewFromImage(mask) == (-1 if self.ignore is None else self.ignore)
        return Annotated.NOTHING if unknown.all() else Annotated.PART if unknown.any() else Annotated.ALL

    def check_codes(self, mask: sitk.Image, path: Path) -> None:
        """Refuse codes that dataset.json does not name.

        Args:
            mask: Whole numbers.
            path: For the message.

        Raises:
            CaseError: There are such codes; the text lists them.
        """
        found = np.unique(sitk.GetArrayViewFromImage(mask)).tolist()
        unknown = [code for code in found if code not in self.labels.values()]
        if unknown:
            known = ", ".join(f"{code} {name}" for name, code in self.labels.items())
            raise CaseError(f"{path}: unknown label code {', '.join(map(str, unknown))}. The data set has: {known}")

    def storable(self, mask: sitk.Image) -> sitk.Image:
        """Return a mask in the smallest pixel type that holds every code.

        Args:
            mask: Codes of the data set.
        """
        return sitk.Cast(mask, sitk.sitkUInt8 if max(self.labels.values()) < 256 else sitk.sitkUInt16)


def _find_folder(dataset: str) -> Path:
    raw = require_paths("nnUNet_raw")["nnUNet_raw"]
    if not re.fullmatch(r"[A-Za-z0-9_-]+", dataset):
        raise UserError(f"Expected a data set's number or name, such as 501 or Dataset501_SPIDER, got {dataset!r}.")
    pattern = f"Dataset{int(dataset):03d}_*" if dataset.isdecimal() else dataset
    found = sorted(path for path in raw.glob(pattern) if (path / "dataset.json").is_file())
    if len(found) != 1:
        there = ", ".join(sorted(path.name for path in raw.glob("Dataset*"))) or "none"
        what = "several data sets" if found else "no data set with a dataset.json"
        raise UserError(f"{raw} has {what} {dataset}. There are: {there}.")
    return found[0]
