"""Pretrains the image encoder on scans without labels: from files on disk to an encoder's file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch

from nnunet_textguided.pretraining.encoder_file import save_encoder
from nnunet_textguided.pretraining.fcmae import MaskedAutoencoder
from nnunet_textguided.pretraining.held_out import HeldOut, split_scans
from nnunet_textguided.pretraining.image_loop import ImageLoop
from nnunet_textguided.pretraining.image_settings import ImageTraining, Running
from nnunet_textguided.pretraining.masked_encoder import MaskedEncoder
from nnunet_textguided.pretraining.slice_dataset import SliceDataset
from nnunet_textguided.pretraining.slice_sources import find_scans
from nnunet_textguided.pretraining.slices import SliceSettings
from nnunet_textguided.trainers.muon import Muon
from nnunet_textguided.trainers.optimisation import BETAS, parameter_groups

ENCODER = "encoder.safetensors"


def pretrain_image(
    sources: Sequence[str | Path], output: str | Path, training: ImageTraining, running: Running | None = None
) -> Path:
    """Pretrain an encoder on scans without labels; goes on where an interrupted run stopped.

    Args:
        sources: See `find_scans`.
        output: Folder to write to.
        training: What to train.
        running: On what.

    Returns:
        The encoder's file: safetensors with timm's names, for `plan --encoder-weights` and for timm.

    Raises:
        UserError: Nothing to read, too few patients, or a checkpoint of another training in the folder.
    """
    from lightning_fabric import Fabric

    running = running or Running()
    output = Path(output)
    fabric = Fabric(
        accelerator=running.accelerator,
        devices=running.devices,
        num_nodes=running.num_nodes,
        precision=cast(Any, running.precision),  # Lightning checks it
    )
    fabric.launch()
    found = find_scans(sources, training.separate_channels)
    scans, kept = split_scans(found.scans, training.held_out, training.seed, training.patient)
    settings = SliceSettings(training.size, training.spacing)
    dataset = SliceDataset(scans, settings, training.mask_ratio)
    held_out = HeldOut(SliceDataset(kept, settings, training.mask_ratio, augment=False))
    torch.manual_seed(training.seed)
    channels = scans[0].num_channels
    model = MaskedAutoencoder(MaskedEncoder(training.encoder, channels), channels)
    optimizer = Muon(parameter_groups(model), betas=BETAS)
    loop = ImageLoop(fabric, model, optimizer, training, output)
    loop.train(dataset, held_out, running)
    if fabric.is_global_zero:
        summary = {
            "scans": len(found.scans),
            "slices": len(dataset),
            "held_out_scans": len(kept),
            "held_out_loss": loop.held_out_loss,
            "steps": training.steps,
            "mask_ratio": training.mask_ratio,
        }
        save_encoder(model.encoder, output / ENCODER, summary)
    fabric.barrier()
    return output / ENCODER
