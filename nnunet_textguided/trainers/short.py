"""Short trainings, to try things: 12 epochs of 25 iterations."""

from __future__ import annotations

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_textguided.trainers.mirroring import OrderPreservingAugmentation


class ShortSchedule:
    """Mixin for nnU-Net trainers: 300 iterations in all, a checkpoint after every epoch."""

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008 (nnU-Net reads this very signature)
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = 12
        self.num_iterations_per_epoch = 25
        self.num_val_iterations_per_epoch = 5
        self.save_every = 1


class nnUNetTrainer_short(ShortSchedule, OrderPreservingAugmentation, nnUNetTrainer):
    """nnU-Net as it is, with the flip rule of the plans, for 300 iterations."""
