"""What every compared system of ours has in common: all but the network."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch

from nnunet_textguided.errors import UserError
from nnunet_textguided.plans_json import read_plans
from nnunet_textguided.trainers.fault_tolerance import FaultTolerance
from nnunet_textguided.trainers.finding_training import FindingTraining
from nnunet_textguided.trainers.finite_batches import FiniteBatches
from nnunet_textguided.trainers.guidance import BLOCK, TextGuidance, agree
from nnunet_textguided.trainers.mirroring import OrderPreservingAugmentation
from nnunet_textguided.trainers.optimisation import MuonWithWarmup


class SharedRecipe(FaultTolerance, FiniteBatches, FindingTraining, OrderPreservingAugmentation, MuonWithWarmup):
    """Mixin for nnU-Net trainers: findings, partial labels, flip rule and optimiser, as the block of the plans says.

    A trainer adds `build_network_architecture`. The block `text_guidance` is settled before the network is built and
    saved with the model, so that building it again at prediction needs the plans alone (`num_findings`).
    """

    restoring = False
    """True while a checkpoint is loaded: it holds all weights, so nothing else is read."""

    def initialize(self) -> None:
        """Settle the options, then nnU-Net builds network, optimiser and loss.

        Raises:
            UserError: The second stage of a cascade, or options that contradict data set or model folder.
        """
        if self.is_cascaded:
            raise UserError(
                f"Configuration {self.configuration_name} is the second stage of a cascade, which "
                f"{self.__class__.__name__} does not support. Train 2d, 3d_fullres or 3d_lowres."
            )
        guidance = TextGuidance.for_dataset(self.dataset_json, self._block())
        if guidance.seed is not None:
            seed_everything(guidance.seed)
        self.guidance = self.prepare(guidance)
        self.plans_manager.plans[BLOCK] = self.guidance.to_block()
        super().initialize()

    def prepare(self, guidance: TextGuidance) -> TextGuidance:
        """Get ready what the network is started from; nothing, where it starts from scratch.

        Args:
            guidance: The options, complete.

        Returns:
            What is saved with the model.
        """
        return guidance

    def _block(self) -> dict | None:
        """The block in force: that of the model folder once it holds a checkpoint, else that of the plans."""
        wanted = self.plans_manager.plans.get(BLOCK)
        folder = Path(self.output_folder_base)
        if (folder / "plans.json").is_file() and any(folder.glob("fold_*/checkpoint_*.pth")):
            saved = read_plans(folder / "plans.json").get(BLOCK)
            if saved:
                return dict(agree(saved, wanted))
        return wanted

    def load_checkpoint(self, filename_or_checkpoint: dict | str) -> None:
        """Resume or validate: build from the saved options, read no other weights."""
        self.restoring = True
        super().load_checkpoint(filename_or_checkpoint)

    def before_iteration(self) -> None:
        """Seed every iteration by its number, where a seed is asked for: resumed trainings then draw the same data."""
        super().before_iteration()
        if self.guidance.seed is not None:
            seed_iteration(self.guidance.seed, self.current_epoch, self.iterations_done)


def num_findings(plans: dict) -> int:
    """How many finding maps the network of a model has.

    Args:
        plans: With the block that `SharedRecipe` settled.

    Raises:
        UserError: There is none.
    """
    return len(TextGuidance.from_plans(plans).findings)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch. nnU-Net's worker processes stay unseeded (exact with nnUNet_n_proc_DA=0)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def seed_iteration(seed: int, epoch: int, iteration: int) -> None:
    """Seed one iteration of a training, unlike all others of it.

    Args:
        seed: Of the training.
        epoch: Its number.
        iteration: Its number in the epoch.
    """
    seed_everything(int(np.random.SeedSequence((seed, epoch, iteration)).generate_state(1)[0]))
