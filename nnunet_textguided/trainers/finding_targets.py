"""What is known of the findings of a training case, ready for the loss."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from nnunet_textguided.dataset_json import block_of
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path
from nnunet_textguided.findings.annotations import FINDINGS_FILE, FindingAnnotations, read_findings
from nnunet_textguided.findings.loss import Known
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.findings.weak_regions import Gaps
from nnunet_textguided.trainers.finding_points import FindingPoints
from nnunet_textguided.trainers.structure_sizes import StructureSizes
from nnunet_textguided.trainers.weak_cells import WeakCells

log = logging.getLogger(__name__)


def install_findings(raw_folder: Path, preprocessed_folder: Path) -> bool:
    """Copy findings.csv beside the preprocessed data, as nnU-Net does with the segmentations.

    Args:
        raw_folder: `nnUNet_raw/DatasetXXX_Name`; need not exist any more.
        preprocessed_folder: `nnUNet_preprocessed/DatasetXXX_Name`.

    Returns:
        Whether a new or changed file was copied.
    """
    source, target = raw_folder / FINDINGS_FILE, preprocessed_folder / FINDINGS_FILE
    if not source.is_file() or (target.is_file() and target.read_bytes() == source.read_bytes()):
        return False
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
    log.info("Copied %s to %s", source, target)
    return True


def load_findings(
    preprocessed_folder: Path, dataset_json: Mapping[str, Any], structures: Sequence[str], cases: Sequence[str]
) -> FindingAnnotations:
    """Read the findings of a preprocessed data set and check them against its dataset.json.

    Args:
        preprocessed_folder: `nnUNet_preprocessed/DatasetXXX_Name`.
        dataset_json: Declares the findings.
        structures: Structure names in channel order.
        cases: Cases that exist.

    Raises:
        UserError: The file is missing or says what cannot be.
    """
    path = preprocessed_folder / FINDINGS_FILE
    if not path.is_file():
        raise UserError(
            f"The plans train for findings, but {path} does not exist. Put {FINDINGS_FILE} into the raw data set's "
            "folder and run nnunet_textguided plan again, or train without: nnunet_textguided plan --findings none"
        )
    declared = FindingVocabulary.from_block(block_of(dataset_json).get("findings", {}), structures)
    return read_findings(path, declared, set(cases))


class FindingTargets:
    """Looks up what is known of the cases of a batch.

    Args:
        annotations: Of the whole data set.
        vocabulary: What the model is trained for.
        sizes: Of the vocabulary's structures.
        points: Marked places, None where there are none.
        cells: Weak masks around marked places, None where every case has a mask or no place is marked.
    """

    def __init__(
        self,
        annotations: FindingAnnotations,
        vocabulary: FindingVocabulary,
        sizes: StructureSizes,
        points: FindingPoints | None = None,
        cells: WeakCells | None = None,
    ) -> None:
        self.annotations = annotations
        self.vocabulary = vocabulary
        self.sizes = sizes
        self.points = points
        self.cells = cells
        self._known: dict[str, _KnownOfCase] = {}

    def of_batch(self, cases: Sequence[str], device: torch.device, points: torch.Tensor | None = None) -> Known:
        """Return what is known of the cases of a batch.

        Args:
            cases: Case identifiers, one a sample.
            device: Where the tensors go.
            points: (B, ...) marked findings on the patches, None where there are none.
        """
        known = [self._of_case(str(case)) for case in cases]
        status, sizes, pointed = (
            torch.from_numpy(np.stack(parts)).to(device, non_blocking=True)
            for parts in zip(*((one.status, one.sizes, one.pointed) for one in known), strict=True)
        )
        return Known(status, sizes, *((None, None) if points is None else (pointed, points.to(device))))

    def gaps(
        self, cases: Sequence[str], num_classes: int, device: torch.device, cells: torch.Tensor | None = None
    ) -> Gaps | None:
        """Tell where the masks of a batch are not complete.

        Args:
            cases: Case identifiers, one a sample.
            num_classes: Of the segmentation, with background.
            device: Where the tensors go.
            cells: (B, ...) codes of weak cells on the patches, None where there are none.

        Returns:
            None where they all are.
        """
        lacking = self.sizes.lacking.of_batch(cases, num_classes)
        if not lacking.any() and not any(self._of_case(str(case)).is_open for case in cases):
            return None
        placed = torch.zeros_like(lacking)
        if self.cells is not None:
            for row, case in enumerate(cases):
                placed[row, list(self.cells.placed(str(case)))] = True
        drawn = None if cells is None else cells.to(device)
        return Gaps(self.sizes.ignore_label, lacking.to(device), placed.to(device), drawn)

    def _of_case(self, case: str) -> _KnownOfCase:
        if case not in self._known:
            status = self.annotations.status(case, self.vocabulary)
            pointed = np.zeros(status.shape, bool) if self.points is None else self.points.pointed(case)
            self._known[case] = _KnownOfCase(status, *self.sizes.of_case(case), pointed)
        return self._known[case]


class _KnownOfCase(NamedTuple):
    status: np.ndarray
    sizes: np.ndarray
    is_open: bool
    pointed: np.ndarray
