"""What decides a pretraining of the image encoder, and on what it runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nnunet_textguided.errors import UserError

PATCH = 32
"""Side of a patch in pixels: the encoder's total stride, so that no feature mixes hidden and visible pixels."""
MASK_RATIO = 0.6
"""Share of hidden patches (Woo et al., ConvNeXt V2, CVPR 2023)."""
GROUP = r"^.*?\d+"
"""A scan's name up to the end of its first number: `12_t1.png` and `12_t2.png` are one patient."""


@dataclass(frozen=True, kw_only=True)
class ImageTraining:
    """All that decides a pretraining; a checkpoint goes on only with the same.

    Attributes:
        encoder: timm's name of a ConvNeXt V2.
        steps: Optimiser steps.
        batch: Slices a step, over all processes.
        learning_rate: Highest rate of what AdamW updates, matrices have six times as much (Muon); it rises over
            `warmup` and falls along a cosine.
        warmup: Share of the steps.
        mask_ratio: Share of hidden patches.
        size: (H, W) of the windows in pixels, multiples of 32.
        spacing: mm a pixel along (H, W); None = as in the files.
        separate_channels: Every sequence is a sample of one channel; False = nnU-Net's channels stay together.
        held_out: Share of the patients that is kept back.
        patient: Regular expression; what it matches in a scan's name is the patient.
        seed: Of everything random.
    """

    encoder: str = "convnextv2_tiny"
    steps: int = 20_000
    batch: int = 64
    learning_rate: float = 1e-3
    warmup: float = 0.05
    mask_ratio: float = MASK_RATIO
    size: tuple[int, int] = (224, 224)
    spacing: tuple[float, float] | None = None
    separate_channels: bool = True
    held_out: float = 0.05
    patient: str = GROUP
    seed: int = 0

    def __post_init__(self) -> None:
        if any(n < PATCH or n % PATCH for n in self.size):
            raise UserError(f"Windows must be multiples of {PATCH} pixels, got {self.size}.")
        if self.size == (PATCH, PATCH):
            raise UserError(f"A window of {self.size} pixels is a single patch; take a larger one.")
        if min(self.steps, self.batch) < 1 or not 0 < self.mask_ratio < 1:
            raise UserError(
                f"Expected steps and batch of at least 1 and a mask ratio between 0 and 1, got {self.steps}, "
                f"{self.batch} and {self.mask_ratio}."
            )

    def rate(self, step: int) -> float:
        """Learning rate of a step (0-based)."""
        warm = max(1, round(self.warmup * self.steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))


@dataclass(frozen=True, kw_only=True)
class Running:
    """How it is run, which changes no result but rounding.

    Attributes:
        accelerator: Lightning's: auto, cpu, cuda, mps.
        devices: Number of processes on this machine.
        num_nodes: Number of machines.
        precision: Lightning's, such as 32-true, bf16-mixed.
        workers: Processes that read slices.
        report_every: Steps between rows of the log, pictures and checkpoints.
    """

    accelerator: str = "auto"
    devices: int | str = "auto"
    num_nodes: int = 1
    precision: str = "32-true"
    workers: int = 2
    report_every: int = 200
