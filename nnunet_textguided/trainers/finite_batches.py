"""Voxels that are no numbers: one batch with such would leave batch norm's statistics NaN for good."""

from __future__ import annotations

import math
from typing import Any

import torch

from nnunet_textguided.trainers.host import TrainerHost


class FiniteBatches(TrainerHost):
    """Mixin for nnU-Net trainers: voxels that are NaN or infinite become zero, the mean of a normalised image.

    The step is done all the same: left out on one GPU of several, the others would wait for it for ever. nnU-Net
    normalises an image by its mean, so that one such voxel in a raw image makes the whole case NaN; the log names it.
    """

    _named: frozenset[str] = frozenset()

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's step on numbers."""
        return super().train_step(self._finite(batch))

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's step on numbers."""
        return super().validation_step(self._finite(batch))

    def _finite(self, batch: dict[str, Any]) -> dict[str, Any]:
        data = batch["data"]
        if math.isfinite(float(data.sum())):  # one pass over the batch; what is odd is looked at below
            return batch
        odd = ~torch.isfinite(data)
        cases = {str(case) for case, any_odd in zip(batch["keys"], odd.flatten(1).any(1), strict=True) if any_odd}
        for case in sorted(cases - self._named):
            self.print_to_log_file(
                f"{case}: voxels that are NaN or infinite count as zero. If they are in the raw image, all of its "
                "voxels are so once it is normalised: put numbers in their place (numpy.nan_to_num) and preprocess "
                "again, or leave the case out of the training."
            )
        self._named |= cases
        return {**batch, "data": data.masked_fill(odd, 0)}
