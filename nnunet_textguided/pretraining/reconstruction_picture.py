"""What the autoencoder sees, tells, and should have told, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nnunet_textguided.files import atomic_path
from nnunet_textguided.pretraining.fcmae import MaskedAutoencoder
from nnunet_textguided.pretraining.held_out import HeldOut
from nnunet_textguided.pretraining.masking import visible_at

COLUMNS = ("visible", "reconstructed", "slice")


@torch.no_grad()
def save_picture(model: MaskedAutoencoder, held_out: HeldOut, path: Path, rows: int = 4) -> None:
    """Draw held-out slices, their first channel.

    Args:
        model: The autoencoder.
        held_out: Slices and masks.
        path: PNG to write.
        rows: Slices at most.
    """
    device = next(model.parameters()).device
    chosen = np.unique(np.linspace(0, len(held_out.images) - 1, rows).round().astype(int))
    images, masks = held_out.images[chosen].to(device), held_out.masks[chosen].to(device)
    training = model.training
    model.eval()
    painted = model.paint(model(images, masks).prediction, images, masks)
    model.train(training)
    visible = images * visible_at(masks, images.shape[2:]) + images.amin() * (1 - visible_at(masks, images.shape[2:]))
    figure = Figure(figsize=(2.4 * len(COLUMNS), 2.5 * len(chosen)), layout="constrained")
    axes = figure.subplots(len(chosen), len(COLUMNS), squeeze=False)
    for row, pictures in enumerate(zip(visible, painted, images, strict=True)):
        low, high = float(pictures[2][0].min()), float(pictures[2][0].max())
        for axis, picture, name in zip(axes[row], pictures, COLUMNS, strict=True):
            axis.imshow(picture[0].cpu().numpy(), cmap="gray", vmin=low, vmax=high)
            axis.set_axis_off()
            if row == 0:
                axis.set_title(name)
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
