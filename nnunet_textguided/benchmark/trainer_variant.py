"""Any nnU-Net trainer, made ready to be measured: one epoch at a call, nothing kept."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from batchgenerators.utilities.file_and_folder_operations import save_json
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_textguided.trainers.host import TrainerHost


class Measured(TrainerHost):
    """Mixin before an nnU-Net trainer. nnU-Net's own benchmark is a subclass of nnUNetTrainer; this fits any.

    nnU-Net's loop over epochs is called for one epoch at a time, so that systems can take turns: start and end of the
    training happen once, and no checkpoint is written.
    """

    num_epochs: int
    iterations_done: int

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cuda"),  # noqa: B008 (nnU-Net reads this very signature)
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.disable_checkpointing = True
        self.fixed_batch: dict[str, Any] | None = None
        self._started = False

    def get_dataloaders(self) -> tuple[Iterator[Any], Iterator[Any]]:
        """nnU-Net's loaders, or one batch again and again where that is set: then nothing is loaded."""
        if self.fixed_batch is None:
            return super().get_dataloaders()
        return itertools.repeat(self.fixed_batch), itertools.repeat(self.fixed_batch)

    def on_train_start(self) -> None:
        """nnU-Net's, before the first epoch."""
        if not self._started:
            super().on_train_start()
            self._started = True

    def on_train_end(self) -> None:
        """Nothing: the training goes on in the next turn."""

    def save_checkpoint(self, filename: str) -> None:
        """Nothing."""

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Nothing."""

    def run_epoch(self) -> float:
        """Train and validate one epoch.

        Returns:
            Seconds, from the time stamps that nnU-Net's own benchmark reads.
        """
        planned, self.num_epochs = self.num_epochs, self.current_epoch + 1
        try:
            super().run_training()
        finally:
            self.num_epochs = planned
        stamps = (self.logger.get_value(f"epoch_{side}_timestamps", step=-1) for side in ("end", "start"))
        end, start = stamps
        return float(end - start)

    def settle(self, steps: int) -> None:
        """Train some steps that belong to no epoch.

        Args:
            steps: Number of batches that are drawn.
        """
        self.network.train()
        for _ in range(steps):
            self.train_step(next(self.dataloader_train))
        self.iterations_done = 0  # our trainers would leave so many out of the next epoch

    def close(self) -> None:
        """End what loads data."""
        if self._started:
            self._started = False
            super().on_train_end()

    def write_model(self, mirror_axes: tuple[int, ...] | None) -> Path:
        """Write the network as it is, in the form of a finished training.

        Args:
            mirror_axes: Axes of the patch that prediction mirrors, None for no mirroring.

        Returns:
            The model's folder.
        """
        folder = Path(self.output_folder_base)
        save_json(self.plans_manager.plans, str(folder / "plans.json"), sort_keys=False)
        save_json(self.dataset_json, str(folder / "dataset.json"), sort_keys=False)
        self.inference_allowed_mirroring_axes = mirror_axes
        self.disable_checkpointing = False
        super().save_checkpoint(str(Path(self.output_folder) / "checkpoint_final.pth"))
        self.disable_checkpointing = True
        return folder


def measured(trainer_class: type[nnUNetTrainer]) -> type[nnUNetTrainer]:
    """Return a trainer's class made ready to be measured, under the same name: checkpoints then name the real one.

    Args:
        trainer_class: Any nnU-Net trainer.
    """
    return type(trainer_class.__name__, (Measured, trainer_class), {"__doc__": trainer_class.__doc__})
