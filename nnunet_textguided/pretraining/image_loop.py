"""The loop of the masked autoencoder: steps, log, picture, checkpoint, and going on after an interruption."""

from __future__ import annotations

import csv
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from nnunet_textguided.checkpoint_files import check_whole
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path, remove_leftovers
from nnunet_textguided.pretraining.fcmae import MaskedAutoencoder
from nnunet_textguided.pretraining.held_out import HeldOut
from nnunet_textguided.pretraining.image_settings import ImageTraining, Running
from nnunet_textguided.pretraining.reconstruction_picture import save_picture
from nnunet_textguided.pretraining.same_training import refuse_other_training
from nnunet_textguided.pretraining.slice_dataset import SeededSampler, SliceDataset
from nnunet_textguided.trainers.optimisation import LEARNING_RATE, MAX_GRADIENT_NORM

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)

CHECKPOINT, LOG, PICTURE = "checkpoint.pth", "progress.csv", "reconstruction.png"
COLUMNS = ("step", "slices", "learning_rate", "loss", "held_out_loss", "interpolation_loss")


class ImageLoop:
    """Trains a masked autoencoder under Lightning Fabric.

    Args:
        fabric: Launched.
        model: The autoencoder.
        optimizer: Over its parameters.
        training: What is trained.
        output: Folder of log, picture and checkpoint.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: MaskedAutoencoder,
        optimizer: torch.optim.Optimizer,
        training: ImageTraining,
        output: Path,
    ) -> None:
        self.fabric, self.training, self.output = fabric, training, output
        self.plain = model
        self.step = 0
        self.losses: list[float] = []
        self.held_out_loss = float("nan")
        self.interpolation_loss = float("nan")
        self._resume(model, optimizer)
        self.model, self.optimizer = fabric.setup(model, optimizer)

    def train(self, dataset: SliceDataset, held_out: HeldOut, running: Running) -> None:
        """Go on to the last step.

        Args:
            dataset: Slices to train with.
            held_out: Slices to measure on.
            running: Workers, and how often to report.
        """
        if self.fabric.is_global_zero and self.step == 0:
            self.interpolation_loss = held_out.interpolation_loss()
            self._report(held_out)
        loader = self._loader(dataset, running)
        first, steps = self.step, self.training.steps
        hidden = not self.fabric.is_global_zero
        for images, masks in tqdm(loader, initial=first, total=steps, disable=hidden, unit="step", mininterval=1):
            self._update(images, masks)
            if self.step % running.report_every == 0 or self.step == steps:
                if self.fabric.is_global_zero:
                    self._report(held_out)
                self.fabric.barrier()
        if first == steps and self.fabric.is_global_zero:
            self.held_out_loss = held_out.loss(self.plain)

    def _loader(self, dataset: SliceDataset, running: Running) -> DataLoader:
        world = self.fabric.world_size
        span = (self.step, self.training.steps)
        sampler = SeededSampler(
            len(dataset), self.training.batch, span, self.training.seed, self.fabric.global_rank, world
        )
        loader = DataLoader(
            dataset,
            batch_size=self.training.batch // world,
            sampler=sampler,
            num_workers=running.workers,
            pin_memory=self.fabric.device.type == "cuda",
        )
        return cast(DataLoader, self.fabric.setup_dataloaders(loader, use_distributed_sampler=False))  # one in, one out

    def _update(self, images: torch.Tensor, masks: torch.Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.training.rate(self.step) * group["base_lr"] / LEARNING_RATE
        loss = self.model(images, masks).loss
        if not torch.isfinite(loss):
            raise UserError(
                f"The loss is {float(loss)} after {self.step} steps. Lower --learning-rate (now "
                f"{self.training.learning_rate:g}) or train in 32-true; the checkpoint before is kept."
            )
        self.fabric.backward(loss)
        self.fabric.clip_gradients(self.model, self.optimizer, max_norm=MAX_GRADIENT_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.losses.append(float(cast(torch.Tensor, self.fabric.all_reduce(loss.detach(), reduce_op="mean"))))
        self.step += 1

    def _report(self, held_out: HeldOut) -> None:
        self.held_out_loss = held_out.loss(self.plain)
        loss = sum(self.losses) / len(self.losses) if self.losses else float("nan")
        self.losses = []
        rate = self.training.rate(max(self.step - 1, 0))
        row = (self.step, self.step * self.training.batch, rate, loss, self.held_out_loss, self.interpolation_loss)
        told = f"loss {loss:.4f}" if self.step else "before training"
        logger.info("step %d: %s, held out %.4f (interpolation %.4f)", self.step, told, *row[4:])
        self._log(row)
        save_picture(self.plain, held_out, self.output / PICTURE)
        self._save()

    def _log(self, row: tuple[float, ...]) -> None:
        """Append to the log; rows after the checkpoint that an interrupted run went on from are dropped."""
        path = self.output / LOG
        rows: list[list[str]] = []
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [old for old in list(csv.reader(file))[1:] if int(old[0]) < row[0]]
        rows.append([f"{value:.6g}" if isinstance(value, float) else str(value) for value in row])
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *rows])

    def _save(self) -> None:
        state = {
            "model": self.plain.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "interpolation_loss": self.interpolation_loss,
            "training": asdict(self.training),
        }
        with atomic_path(self.output / CHECKPOINT, durable=True) as temporary:
            torch.save(state, temporary)

    def _resume(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        path = self.output / CHECKPOINT
        if self.fabric.is_global_zero:
            remove_leftovers(self.output)
        if not path.is_file():
            return
        check_whole(path, "the pretraining starts anew.")
        state = torch.load(path, map_location="cpu", weights_only=True)
        refuse_other_training(path, state["training"], self.training)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        self.step, self.interpolation_loss = state["step"], state["interpolation_loss"]
        logger.info("going on after step %d of %s", self.step, path)
