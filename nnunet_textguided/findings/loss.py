"""What the findings cost in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_textguided.findings.pooling import pool_scores
from nnunet_textguided.findings.regions import MARGIN_MM, Regions, structure_regions

SMALLEST_REGION = 8
"""Voxels of a structure that have to be in the patch for it to be asked for its findings."""
VOXEL_WEIGHT = 0.25
"""Of the voxel term, beside 1 for the pooled term."""


class ScoredDecisions(NamedTuple):
    """What the loss saw of a batch, without gradient.

    Attributes:
        scores: (B, S, F) pooled logits.
        status: (B, S, F), 1 present, 0 absent, -1 not assessed.
        asked: (B, S, F) bool, decisions that entered the loss.
    """

    scores: torch.Tensor
    status: torch.Tensor
    asked: torch.Tensor


class FindingLoss(nn.Module):
    """Class-balanced cross-entropy over the assessed (structure, finding) pairs whose structure is in the patch.

    A structure's score is pooled over its region. Presence is known of the whole structure, but a patch may hold a
    part: a present finding weighs by the share of the structure that is seen, an absent one fully, as it is absent
    everywhere. Absent findings also cost voxel by voxel. Present and absent decisions weigh the same in total, for
    each finding; where nothing is assessed the loss is zero times the sum of the maps, so that every parameter has a
    gradient (DDP needs it).

    Args:
        codes: Label codes of the structures, in the order of `status`.
        spacing: Of the patch's spatial axes, mm.
        margin_mm: How far regions reach beyond their structure.
        voxel_weight: Weight of the voxel term.
    """

    def __init__(
        self,
        codes: Sequence[int],
        spacing: Sequence[float],
        margin_mm: float = MARGIN_MM,
        voxel_weight: float = VOXEL_WEIGHT,
    ) -> None:
        super().__init__()
        self.codes = tuple(codes)
        self.spacing = tuple(spacing)
        self.margin_mm = margin_mm
        self.voxel_weight = voxel_weight
        self.last: ScoredDecisions | None = None

    def forward(
        self, maps: torch.Tensor, labels: torch.Tensor, status: torch.Tensor, sizes: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss, a scalar.

        Args:
            maps: (B, F, ...) finding logits at full resolution.
            labels: (B, ...) label codes of the same voxels.
            status: (B, S, F), 1 present, 0 absent, -1 not assessed.
            sizes: (B, S) voxels of each structure in the whole case; None = the patch holds it whole.
        """
        with torch.autocast(device_type=maps.device.type, enabled=False):
            maps = maps.float()
            regions = structure_regions(labels, self.codes, self.spacing, self.margin_mm)
            scores, _ = pool_scores(maps, regions, len(self.codes))
            seen = self._seen(regions, maps.shape[0])
            share = torch.ones_like(seen) if sizes is None else (seen / sizes.clamp_min(1)).clamp(max=1)
            weights = torch.where(status == 1, share[:, :, None], torch.ones_like(scores))
            weights = weights * (status >= 0) * (seen >= SMALLEST_REGION)[:, :, None]
            self.last = ScoredDecisions(scores.detach(), status, weights > 0)
            cost = F.binary_cross_entropy_with_logits(scores, (status == 1).float(), reduction="none")
            pooled = balanced_mean(cost, weights, status == 1)
            if self.voxel_weight:
                pooled = pooled + self.voxel_weight * self._absent_voxels(maps, regions, weights * (status == 0))
            return pooled + 0 * maps.sum()

    def _seen(self, regions: Regions, batch: int) -> torch.Tensor:
        """Voxels of each structure itself in the patch, (B, S)."""
        count = torch.zeros(batch * len(self.codes), device=regions.pair.device)
        return count.index_add(0, regions.pair, regions.own.float()).unflatten(0, (batch, len(self.codes)))

    def _absent_voxels(self, maps: torch.Tensor, regions: Regions, weights: torch.Tensor) -> torch.Tensor:
        """Mean cost of the voxels of regions where a finding is known to be absent."""
        sample = torch.div(regions.pair, len(self.codes), rounding_mode="floor")
        voxel_weights = weights.flatten(0, 1)[regions.pair]  # (M, F)
        cost = F.softplus(maps.flatten(2)[sample, :, regions.voxel]) * voxel_weights
        return cost.sum() / voxel_weights.sum().clamp_min(1)


def balanced_mean(cost: torch.Tensor, weights: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """Average so that present and absent decisions weigh the same, and every finding that has any.

    Args:
        cost: (B, S, F).
        weights: (B, S, F), zero where nothing is known.
        present: (B, S, F) bool.

    Returns:
        A scalar; zero if all weights are.
    """
    means, known = [], []
    for side in (present, ~present):
        weight = weights * side
        total = weight.sum((0, 1))
        means.append((cost * weight).sum((0, 1)) / total.clamp_min(torch.finfo(total.dtype).tiny))
        known.append(total > 0)
    sides = torch.stack(known).float().sum(0)  # (F,): how many of the two there are
    per_finding = torch.stack(means).sum(0) / sides.clamp_min(1)
    return per_finding.sum() / (sides > 0).sum().clamp_min(1)
