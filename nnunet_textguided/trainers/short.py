"""Trainings that end within minutes or half an hour, to try things."""

from __future__ import annotations

import torch

from nnunet_textguided.trainers.host import TrainerHost


class ShortSchedule(TrainerHost):
    """Mixin for nnU-Net trainers: 12 epochs of 25 iterations, a checkpoint after every epoch."""

    epochs, iterations = 12, 25

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008 (nnU-Net reads this very signature)
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = self.epochs
        self.num_iterations_per_epoch = self.iterations
        self.num_val_iterations_per_epoch = 5
        self.save_every = 1


class QuickSchedule(ShortSchedule):
    """6 epochs of 25 iterations: enough to compare where trainings start from."""

    epochs = 6


class TwiceSchedule(ShortSchedule):
    """24 epochs of 25 iterations: about as long on a CPU as the short one takes nnU-Net's planned U-Net."""

    epochs = 24


class MediumSchedule(ShortSchedule):
    """15 epochs of 50 iterations: what findings of the phantom take to be learned."""

    epochs, iterations = 15, 50
