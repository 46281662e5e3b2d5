"""Findings in nnU-Net's training loop: their loss beside the segmentation's, their metrics in the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed, nn

from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import NOT_ASSESSED
from nnunet_textguided.findings.loss import FindingLoss
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.findings.weak_regions import fill_gaps
from nnunet_textguided.trainers.finding_points import FindingPoints, PointedDataset
from nnunet_textguided.trainers.finding_progress import FindingProgress
from nnunet_textguided.trainers.finding_targets import FindingTargets, install_findings, load_findings
from nnunet_textguided.trainers.partial_labels import PartialLabels
from nnunet_textguided.trainers.structure_sizes import StructureSizes
from nnunet_textguided.trainers.weak_cells import WeakCells, WeakDataset

FINDING_WEIGHT = 0.02
"""Of the findings' loss beside nnU-Net's segmentation loss. The layers that only findings train do not feel it (see
`LesionBranch`); it says how much the shared ones hear of findings."""
CENTRED_PATCHES = 0.66
"""Share of patches that are centred on a class or mark where findings are marked, instead of nnU-Net's 0.33."""


class SegmentationAndFindingLoss(nn.Module):
    """nnU-Net's loss of the segmentation outputs plus that of the finding maps behind them.

    The cases of a batch (and what is marked in its patches) are announced before the forward pass with `announce`, as
    nnU-Net hands the loss nothing but outputs and targets.

    Args:
        segmentation: nnU-Net's loss over the supervised levels.
        findings: Loss of the finding maps.
        targets: Looks up what is known of a case.
        weight: Of the findings' loss.
    """

    def __init__(
        self, segmentation: nn.Module, findings: FindingLoss, targets: FindingTargets, weight: float = FINDING_WEIGHT
    ) -> None:
        super().__init__()
        self.segmentation = segmentation
        self.findings = findings
        self.targets = targets
        self.weight = weight
        self.cases: list[str] = []
        self.points: torch.Tensor | None = None
        self.cells: torch.Tensor | None = None

    def announce(self, cases: list[str], points: torch.Tensor | None = None, cells: torch.Tensor | None = None) -> None:
        """Say which cases the next batch holds, one a sample, where findings are marked and weak cells lie (B, ...)."""
        self.cases, self.points, self.cells = list(cases), points, cells

    def forward(self, outputs: list[torch.Tensor], targets: list[torch.Tensor]) -> torch.Tensor:
        """Return the sum of both losses.

        Args:
            outputs: Segmentation logits of all levels, then the finding maps (B, F, ...).
            targets: Label maps (B, 1, ...) of the segmentation levels.
        """
        *levels, maps = outputs
        if len(self.cases) != maps.shape[0]:
            raise RuntimeError(f"Expected {maps.shape[0]} announced cases, got {len(self.cases)}.")
        known = self.targets.of_batch(self.cases, maps.device, self.points)
        labels, gaps = targets[0][:, 0], self.targets.gaps(self.cases, levels[0].shape[1], maps.device, self.cells)
        if gaps is not None:
            labels = fill_gaps(labels, levels[0], gaps)
        findings = self.findings(maps, labels, known)
        return self.segmentation(levels, targets) + self.weight * findings


class FindingTraining(PartialLabels):
    """Mixin for nnU-Net trainers whose network returns finding maps behind the segmentation outputs.

    The trainer has `finding_vocabulary()`; with an empty one everything is as without this mixin. Cases with findings
    and no mask teach findings only.
    """

    oversample_foreground_percent: float

    def finding_vocabulary(self) -> FindingVocabulary:
        """What the model is trained for; the block `text_guidance` of the plans decides."""
        return self.guidance.vocabulary()

    def _build_loss(self) -> nn.Module:
        """nnU-Net's loss, and that of the findings if there are any."""
        segmentation = super()._build_loss()
        vocabulary = self.finding_vocabulary()
        if not len(vocabulary):
            return segmentation
        codes = [int(self.dataset_json["labels"][name]) for name in vocabulary.structures]
        findings = FindingLoss(codes, self._patch_spacing())
        return SegmentationAndFindingLoss(segmentation, findings, self._finding_targets(vocabulary, codes))

    def _patch_spacing(self) -> list[float]:
        """Spacing of the patch's axes in mm; a 2D patch is a slice along the first."""
        return list(self.configuration_manager.spacing)[-len(self.configuration_manager.patch_size) :]

    def _finding_targets(self, vocabulary: FindingVocabulary, codes: list[int]) -> FindingTargets:
        from nnunetv2.paths import nnUNet_raw
        from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class

        folder = Path(self.preprocessed_dataset_folder_base)
        if nnUNet_raw:
            install_findings(Path(str(nnUNet_raw)) / folder.name, folder)
        dataset_class = infer_dataset_class(self.preprocessed_dataset_folder)  # nnU-Net sets its own after the loss
        identifiers = dataset_class.get_identifiers(self.preprocessed_dataset_folder)
        annotations = load_findings(folder, self.dataset_json, vocabulary.structures, identifiers)
        if not annotations.cases():
            raise UserError(f"{folder}: findings are declared, but not one is assessed.")
        dataset = dataset_class(self.preprocessed_dataset_folder, identifiers)
        transpose, ignore_label = self.plans_manager.transpose_forward, self.label_manager.ignore_label
        sizes = StructureSizes(dataset, codes, transpose, ignore_label, self.lacking)
        points = FindingPoints(annotations, vocabulary, codes, transpose, ignore_label)
        by_name = dict(zip(vocabulary.structures, codes, strict=True))
        cells = None if ignore_label is None else WeakCells(annotations, by_name, transpose, ignore_label)
        marked = points if points.any() else None, cells if cells and cells.any() else None
        return FindingTargets(annotations, vocabulary, sizes, *marked)

    def teaches_without_mask(self, case: str) -> bool:
        """Whether a finding of a case is assessed."""
        if not isinstance(self.loss, SegmentationAndFindingLoss):
            return False
        status = self.loss.targets.annotations.status(case, self.loss.targets.vocabulary)
        return bool((status != NOT_ASSESSED).any())

    def get_tr_and_val_datasets(self) -> tuple[Any, Any]:
        """nnU-Net's data sets; what is marked comes along."""
        training, validation = super().get_tr_and_val_datasets()
        if not isinstance(self.loss, SegmentationAndFindingLoss):
            return training, validation
        points, cells = self.loss.targets.points, self.loss.targets.cells
        if cells is not None:
            training, validation = WeakDataset(training, cells), WeakDataset(validation, cells)
        if points is not None:
            training, validation = PointedDataset(training, points), PointedDataset(validation, points)
        return training, validation

    def get_dataloaders(self) -> tuple[Any, Any]:
        """nnU-Net's loaders; where findings are marked, more of their patches are centred on something."""
        if isinstance(self.loss, SegmentationAndFindingLoss) and self.loss.targets.points is not None:
            self.oversample_foreground_percent = max(self.oversample_foreground_percent, CENTRED_PATCHES)
        return super().get_dataloaders()

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's step; the loss is told the cases."""
        return super().train_step(self._announce(batch))

    def on_validation_epoch_start(self) -> None:
        """nnU-Net's, and the findings' counts start anew."""
        super().on_validation_epoch_start()
        if isinstance(self.loss, SegmentationAndFindingLoss):
            names = self.finding_vocabulary().names
            self.finding_progress = FindingProgress(Path(self.output_folder), names)

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's step; the loss is told the cases, and what it saw is kept."""
        result = super().validation_step(self._announce(batch))
        if isinstance(self.loss, SegmentationAndFindingLoss):
            scores, status, asked = (part.cpu().numpy() for part in self.loss.findings.last or ())
            self.finding_progress.add(scores, status, asked)
        return result

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        """nnU-Net's, and the findings' scores go to the log, a table and a picture."""
        super().on_validation_epoch_end(val_outputs)
        if not isinstance(self.loss, SegmentationAndFindingLoss):
            return
        truth, probability = self.finding_progress.decisions()
        if self.is_ddp:
            truth, probability = (_gather(part) for part in (truth, probability))
        if self.local_rank == 0:
            rows = self.finding_progress.finish(self.current_epoch, truth, probability).round(3)
            self.print_to_log_file(
                "findings on validation patches:\n" + rows.drop(columns="epoch").to_string(index=False)
            )

    def _announce(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Tell the loss what the batch holds, and take what is marked out of nnU-Net's targets."""
        if not isinstance(self.loss, SegmentationAndFindingLoss):
            return batch
        target, points, cells = batch["target"], None, None
        if self.loss.targets.points is not None:
            points = target[0][:, 1]
            target = [level[:, :1] for level in target]
        if self.loss.targets.cells is not None:
            target, cells = self.loss.targets.cells.split(target)
        self.loss.announce(batch["keys"], points, cells)
        return {**batch, "target": target}

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """nnU-Net's validation; with findings our predictor goes over the cases, once for both."""
        if not len(self.finding_vocabulary()):
            super().perform_actual_validation(save_probabilities)
            return
        from nnunet_textguided.trainers.finding_validation import validate_with_findings

        self.set_deep_supervision_enabled(False)
        self.network.eval()
        validate_with_findings(self, save_probabilities)
        self.set_deep_supervision_enabled(True)


def _gather(parts: list[np.ndarray]) -> list[np.ndarray]:
    """Join what all processes have, finding by finding."""
    everyone: list[list[np.ndarray]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(everyone, parts)
    return [np.concatenate(arrays) for arrays in zip(*everyone, strict=True)]
