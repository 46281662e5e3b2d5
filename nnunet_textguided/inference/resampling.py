"""How scores are brought to the image's own grid, other than the plans say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager


class TorchResampling(ConfigurationManager):
    """A configuration whose scores are resampled by torch, whatever its plans name; all else is theirs.

    nnU-Net's default goes through scikit-image in double precision. Both interpolate linearly between the same points,
    so labels differ where two scores are equal but for rounding.

    Args:
        configuration: Of the plans.
    """

    @property
    def resampling_fn_probabilities(self) -> Callable[..., torch.Tensor]:
        """Scores, new shape, spacing before and after -> scores on the new grid."""
        given = self.configuration["resampling_fn_probabilities_kwargs"]
        return partial(resample_class_by_class, force_separate_z=given.get("force_separate_z"))


def resample_class_by_class(
    scores: torch.Tensor | np.ndarray,
    new_shape: Sequence[int],
    current_spacing: Sequence[float],
    new_spacing: Sequence[float],
    **options: Any,
) -> torch.Tensor:
    """Resample one class after the other, so that single precision is kept for one class only.

    Args:
        scores: (C, D, H, W).
        new_shape: Voxels along each axis.
        current_spacing: Of the scores, mm.
        new_spacing: Of the new grid, mm.
        options: Of nnU-Net's `resample_torch_fornnunet`.

    Returns:
        (C, *new_shape) in the precision of the scores.
    """
    given = torch.as_tensor(scores)
    resampled = given.new_empty(len(given), *(int(n) for n in new_shape))
    for one, target in zip(given, resampled, strict=True):
        target.copy_(resample_torch_fornnunet(one[None], new_shape, current_spacing, new_spacing, **options)[0])
    return resampled
