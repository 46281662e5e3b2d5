"""A trainer that takes milliseconds: nnU-Net's own loop, log and checkpoints around one layer and drawn numbers."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from toy_model import LABELS, configuration

from nnunet_textguided.trainers.fault_tolerance import FaultTolerance
from nnunet_textguided.trainers.optimisation import MuonWithWarmup
from nnunet_textguided.trainers.shared_recipe import seed_iteration

PLANS = {
    "dataset_name": "Dataset999_Toy",
    "plans_name": "nnUNetPlans",
    "label_manager": "LabelManager",
    "configurations": {"2d": configuration(2, 1)},
}
DATASET = {"channel_names": {"0": "T2"}, "labels": LABELS, "numTraining": 2, "file_ending": ".nii.gz"}


class ToyLoop(nnUNetTrainer):
    """What is nnU-Net's own, with neither data nor pictures."""

    def initialize(self) -> None:
        torch.manual_seed(0)
        self.network = torch.nn.Linear(20, 20)
        self.optimizer, self.lr_scheduler = self.configure_optimizers()
        self.was_initialized = True

    def on_train_start(self) -> None:
        if not self.was_initialized:
            self.initialize()
        self.dataloader_train = self.dataloader_val = drawn()
        self.logger.plot_progress_png = lambda folder: None

    def train_step(self, batch: torch.Tensor) -> dict:
        self.optimizer.zero_grad()
        loss = (self.network(batch) - batch.roll(1, 1)).square().mean()
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach().numpy()}

    def validation_step(self, batch: torch.Tensor) -> dict:
        hits = self.network(batch)[:, :2].abs().sum(0).numpy()
        return {"loss": hits.sum(), "tp_hard": hits, "fp_hard": np.ones(2), "fn_hard": np.ones(2)}

    def perform_actual_validation(self, save_probabilities: bool = False) -> None:
        """Nothing to validate."""


class ToyTrainer(FaultTolerance, MuonWithWarmup, ToyLoop):
    """Two epochs of three iterations, seeded, a checkpoint an epoch; notes its rates."""

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int,
        dataset_json: dict,
        device: torch.device = torch.device("cpu"),  # noqa: B008 (nnU-Net reads this very signature)
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 2, 3, 2
        self.save_every = 1
        self.rates: list[float] = []

    def before_iteration(self) -> None:
        seed_iteration(3, self.current_epoch, self.iterations_done)

    def train_step(self, batch: torch.Tensor) -> dict:
        try:
            return super().train_step(batch)
        finally:
            self.rates.append(self.optimizer.param_groups[0]["lr"])


def drawn() -> Iterator[torch.Tensor]:
    while True:
        yield torch.from_numpy(np.random.random((4, 20)).astype(np.float32))


def toy_trainer() -> ToyTrainer:
    """A new one, its folder in nnUNet_results."""
    return ToyTrainer({**copy.deepcopy(PLANS), "continue_training": False}, "2d", 0, copy.deepcopy(DATASET))
