"""Which patches of a slice are hidden from the encoder."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from nnunet_textguided.pretraining.image_settings import MASK_RATIO, PATCH


def random_mask(
    batch: int, grid: tuple[int, int], ratio: float = MASK_RATIO, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Hide the same number of patches in every slice, at random places.

    Args:
        batch: Number of slices B.
        grid: Patches along (H, W).
        ratio: Share of hidden patches, rounded to whole patches; at least one is hidden and one visible.
        generator: Source of randomness on the CPU; None = torch's own.

    Returns:
        (B, h, w) bool, true = hidden.

    Raises:
        ValueError: A grid of fewer than two patches, or a ratio outside 0..1.
    """
    count = grid[0] * grid[1]
    if count < 2 or not 0 < ratio < 1:
        raise ValueError(f"Expected at least two patches and a ratio between 0 and 1, got {grid} and {ratio}.")
    hidden = min(max(round(ratio * count), 1), count - 1)
    order = torch.rand(batch, count, generator=generator).argsort(dim=1)
    mask = torch.zeros(batch, count, dtype=torch.bool)
    mask.scatter_(1, order[:, :hidden], True)
    return mask.unflatten(1, grid)


def visible_at(mask: torch.Tensor, size: torch.Size | tuple[int, int]) -> torch.Tensor:
    """1 where a feature grid sees visible pixels, 0 where it sees hidden ones.

    Args:
        mask: (B, h, w) bool, true = hidden.
        size: (H, W) of the features, multiples of (h, w).

    Returns:
        (B, 1, H, W) float32.
    """
    return F.interpolate((~mask)[:, None].float(), size=tuple(size), mode="nearest")


def patchify(images: torch.Tensor, patch: int = PATCH) -> torch.Tensor:
    """Cut slices into patches: (B, C, H, W) -> (B, h, w, C * patch * patch).

    Args:
        images: H and W are multiples of `patch`.
        patch: Side, pixels.
    """
    cut = images.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))  # (B, C, h, p, w, p)
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(3)


def unpatchify(patches: torch.Tensor, channels: int, patch: int = PATCH) -> torch.Tensor:
    """Undo `patchify`: (B, h, w, C * patch * patch) -> (B, C, H, W).

    Args:
        patches: Of `patchify`.
        channels: C.
        patch: Side, pixels.
    """
    cut = patches.unflatten(3, (channels, patch, patch))  # (B, h, w, C, p, p)
    return cut.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
