"""Scans kept back from the training, and how well hidden patches of theirs are told."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from scipy.interpolate import griddata
from torch import nn

from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.fcmae import masked_error, patch_moments
from nnunet_textguided.pretraining.image_settings import GROUP, PATCH
from nnunet_textguided.pretraining.masking import patchify
from nnunet_textguided.pretraining.scan import Scan
from nnunet_textguided.pretraining.slice_dataset import SliceDataset


def split_scans(scans: Sequence[Scan], share: float, seed: int, group: str = GROUP) -> tuple[list[Scan], list[Scan]]:
    """Keep back some patients.

    Args:
        scans: All.
        share: Of the patients, at least one.
        seed: Which ones.
        group: Regular expression; scans in whose names it matches the same text are one patient.

    Returns:
        To train with, and kept back.

    Raises:
        UserError: Fewer than two patients.
    """
    matches = [re.match(group, scan.name) for scan in scans]
    patients = [match.group(0) if match else scan.name for match, scan in zip(matches, scans, strict=True)]
    known = sorted(set(patients))
    if len(known) < 2:
        raise UserError(
            f"Expected scans of at least two patients, to keep one back; found {len(scans)} scans of {known}. If the "
            f"names tell patients in another way, say how with --patient REGEX (now {group!r})."
        )
    count = min(max(1, round(share * len(known))), len(known) - 1)
    kept = {known[index] for index in np.random.default_rng(seed).permutation(len(known))[:count]}
    training = [scan for scan, patient in zip(scans, patients, strict=True) if patient not in kept]
    return training, [scan for scan, patient in zip(scans, patients, strict=True) if patient in kept]


class HeldOut:
    """A fixed set of held-out slices with fixed masks.

    Args:
        dataset: Of the scans kept back, not augmented.
        count: Slices at most, spread evenly over them.
    """

    def __init__(self, dataset: SliceDataset, count: int = 64) -> None:
        positions = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int))
        pairs = [dataset[int(position)] for position in positions]
        usable = [(image, mask) for image, mask in pairs if image.any()]
        if not usable:
            raise UserError("Every slice of the scans kept back is constant; nothing can be measured on them.")
        self.images = torch.stack([image for image, _ in usable])
        self.masks = torch.stack([mask for _, mask in usable])

    @torch.no_grad()
    def loss(self, model: nn.Module, batch: int = 16) -> float:
        """Masked error of the autoencoder, mean over the slices.

        Args:
            model: A `MaskedAutoencoder`.
            batch: Slices at a time.
        """
        device = next(model.parameters()).device
        training, total = model.training, 0.0
        model.eval()
        for images, masks in zip(self.images.split(batch), self.masks.split(batch), strict=True):
            total += float(model(images.to(device), masks.to(device)).loss) * len(images)
        model.train(training)
        return total / len(self.images)

    def interpolation_loss(self, count: int = 16) -> float:
        """Masked error of hidden pixels interpolated linearly from visible ones: what needs no learning.

        Args:
            count: Slices at most; each takes about half a second.
        """
        images, masks = self.images[:count], self.masks[:count]
        filled = np.stack([_interpolate(i.numpy(), m.numpy()) for i, m in zip(images, masks, strict=True)])
        # as the network's prediction: less its own mean, in units of the true patch's standard deviation
        guess = patchify(torch.from_numpy(filled))
        guess = (guess - guess.mean(-1, keepdim=True)) / patch_moments(images)[1]
        return float(masked_error(guess, images, masks))


def _interpolate(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    hidden = np.kron(mask, np.ones((PATCH, PATCH), dtype=bool))
    known, wanted = np.argwhere(~hidden), np.argwhere(hidden)
    filled = image.copy()
    for channel in filled:
        values = channel[~hidden]
        guess = griddata(known, values, wanted, method="linear")
        outside = ~np.isfinite(guess)  # beyond the hull of what is visible
        guess[outside] = griddata(known, values, wanted[outside], method="nearest")
        channel[hidden] = guess
    return filled
