"""The trainers of a benchmark, built as nnU-Net builds them, from plans changed in memory only."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nnunet_textguided.benchmark.class_count import with_classes, with_encoder
from nnunet_textguided.benchmark.roles import number_of_findings
from nnunet_textguided.benchmark.setting import Setting
from nnunet_textguided.benchmark.trainer_variant import measured
from nnunet_textguided.benchmark.turns import Stopwatch
from nnunet_textguided.comparison.grid import System
from nnunet_textguided.comparison.run_state import check_trainer
from nnunet_textguided.files import load_json
from nnunet_textguided.quiet import quiet

logger = logging.getLogger(__name__)

SEED = 0
LONG_TRAINING = 1000
"""Epochs of the schedule, nnU-Net's own: a benchmark never comes to its end."""


class Bench:
    """Builds what is measured and keeps the trainers that several parts need.

    Args:
        setting: What is measured.
        scratch: Folder for what nnU-Net writes while it trains; stands in for nnUNet_results.
        stopwatch: Of the device.
    """

    def __init__(self, setting: Setting, scratch: Path, stopwatch: Stopwatch | None = None) -> None:
        self.setting = setting
        self.scratch = scratch
        self.stopwatch = stopwatch or Stopwatch(setting.device)
        self._trainers: dict[str, Any] = {}

    def trainer(self, system: System) -> Any:
        """Return the trainer of a system at its own plans, initialised, with a batch to repeat.

        Args:
            system: One of the benchmark's.
        """
        if system.label not in self._trainers:
            trainer = self.build(system)
            trainer.fixed_batch = draw_batch(trainer)
            self._trainers[system.label] = trainer
        return self._trainers[system.label]

    def trainers(self) -> dict[str, Any]:
        """Return the trainers of all systems by label."""
        return {system.label: self.trainer(system) for system in self.setting.systems}

    def findings(self) -> dict[str, int]:
        """Return the number of findings of each system's model by label."""
        return {label: number_of_findings(trainer) for label, trainer in self.trainers().items()}

    def eager_trainer(self, system: System, classes: int | None = None, encoder: str | None = None) -> Any:
        """Return a trainer whose network is not compiled, with a batch to repeat: a profile can tell its modules apart.

        Args:
            system: One of the benchmark's.
            classes: As for `build`.
            encoder: As for `build`.
        """
        kept = self.trainer(system)
        if classes is None and not kept._do_i_compile():
            return kept
        with environment(nnUNet_compile="f"):
            trainer = self.build(system, classes, encoder)
        trainer.fixed_batch = kept.fixed_batch if classes is None else relabelled(kept.fixed_batch, classes)
        return trainer

    def build(self, system: System, classes: int | None = None, encoder: str | None = None) -> Any:
        """Build a trainer, initialised; weights are random, as they do not change what is measured.

        Args:
            system: One of the benchmark's.
            classes: Number of structures instead of the data set's own.
            encoder: Image encoder instead of that of the plans.
        """
        setting = self.setting
        plans = with_encoder(load_json(setting.plans_file(system)), encoder)
        dataset_json = load_json(setting.folders.preprocessed / setting.dataset / "dataset.json")
        if classes is not None:
            plans, dataset_json = with_classes(plans, dataset_json, classes)
        trainer_class = measured(check_trainer(system.trainer))
        seed_everything()
        with quiet(logger):
            trainer = trainer_class(
                {**copy.deepcopy(plans), "continue_training": False},
                setting.configuration,
                setting.fold,
                dataset_json,
                device=setting.device,
            )
            effort = setting.effort
            trainer.num_epochs = LONG_TRAINING
            trainer.num_iterations_per_epoch = effort.iterations
            trainer.num_val_iterations_per_epoch = max(1, effort.iterations // 5)
            if classes is not None or encoder is not None:  # whose text bank must not lie beside the real ones
                trainer.preprocessed_dataset_folder_base = str(self.scratch / "banks" / f"{encoder}_{classes}")
            trainer.initialize()
            trainer.set_deep_supervision_enabled(trainer.enable_deep_supervision)
        trainer.network.train()
        return trainer


def draw_batch(trainer: Any) -> dict[str, Any]:
    """Draw a batch with the trainer's own loader, and put noise in the place of the images.

    Labels, cases and marks are as in training, so the loss has to do what it has to do there; the noise is the same
    for every system.

    Args:
        trainer: Initialised.
    """
    with quiet(logger), environment(nnUNet_n_proc_DA="0"):
        loader, _ = trainer.get_dataloaders()
        seed_everything()  # only now: a batch was drawn to start the loader, by transforms that differ
        batch = next(loader)
    noise = torch.Generator().manual_seed(SEED)
    image = torch.randn(tuple(batch["data"].shape), generator=noise).to(trainer.device)
    target = batch["target"]
    levels = [torch.as_tensor(level).to(trainer.device) for level in (target if isinstance(target, list) else [target])]
    return {**batch, "data": image, "target": levels if isinstance(target, list) else levels[0]}


def relabelled(batch: Mapping[str, Any], classes: int) -> dict[str, Any]:
    """Return a batch whose labels are out of 0..classes, without marks of findings.

    Args:
        batch: As `draw_batch` returns it.
        classes: Number of structures.
    """
    target = batch["target"]
    levels = [level[:, :1] % (classes + 1) for level in (target if isinstance(target, list) else [target])]
    return {**batch, "target": levels if isinstance(target, list) else levels[0]}


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables inside the block.

    Args:
        values: By name.
    """
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def seed_everything() -> None:
    """Start all random numbers anew, so that every system draws the same batch."""
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
