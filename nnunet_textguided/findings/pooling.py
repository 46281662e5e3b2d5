"""From a score a voxel to a score a structure."""

from __future__ import annotations

import torch

from nnunet_textguided.findings.regions import Regions


def region_values(maps: torch.Tensor, regions: Regions, num_structures: int) -> torch.Tensor:
    """List what maps hold at the voxels of regions.

    Args:
        maps: (B, F, ...).
        regions: Of the same batch, M voxels in all.
        num_structures: Number of structures S of the regions.

    Returns:
        (M, F).
    """
    sample = torch.div(regions.pair, num_structures, rounding_mode="floor")
    return maps.flatten(2)[sample, :, regions.voxel]


def pool_scores(maps: torch.Tensor, regions: Regions, num_structures: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-mean-exp of the finding maps over each structure's region.

    It lies between mean and maximum: a lesion of a tenth of the region still counts with its full score less log 10.

    Args:
        maps: (B, F, ...) finding logits; summed in float32.
        regions: Of the same batch.
        num_structures: Number of structures S of the regions.

    Returns:
        Scores (B, S, F), zero where the region is empty, and the number of voxels (B, S) of each region.
    """
    return pool_values(region_values(maps.float(), regions, num_structures), regions, len(maps), num_structures)


def pool_values(
    values: torch.Tensor, regions: Regions, batch: int, num_structures: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """`pool_scores` of what `region_values` listed.

    Args:
        values: (M, F), float32.
        regions: Whose voxels these are.
        batch: Number of samples B.
        num_structures: Number of structures S.
    """
    index = regions.pair[:, None].expand_as(values)
    size = (batch * num_structures, values.shape[1])
    count = torch.zeros(size[0], device=values.device).index_add_(0, regions.pair, values.new_ones(len(values)))
    # the maximum is a constant to the gradient: it cancels
    top = values.new_zeros(size).scatter_reduce(0, index, values.detach(), "amax", include_self=False)
    total = values.new_zeros(size).index_add(0, regions.pair, (values - top[regions.pair]).exp())
    there = count > 0
    mean = torch.where(there[:, None], total / count.clamp_min(1)[:, None], torch.ones_like(total))
    scores = torch.where(there[:, None], top + mean.log(), torch.zeros_like(top))
    return scores.unflatten(0, (batch, num_structures)), count.unflatten(0, (batch, num_structures))
