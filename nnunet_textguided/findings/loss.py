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


class Known(NamedTuple):
    """What is known of the cases of a batch.

    Attributes:
        status: (B, S, F), 1 present, 0 absent, -1 not assessed.
        sizes: (B, S) voxels of each structure in the whole case, None = the patch holds it whole.
        pointed: (B, S, F) bool, present findings whose place is marked, None = no place is.
        points: (B, ...) integers on the patch's voxels: bit f is set where finding f is marked. None = no place is.
    """

    status: torch.Tensor
    sizes: torch.Tensor | None = None
    pointed: torch.Tensor | None = None
    points: torch.Tensor | None = None


class FindingLoss(nn.Module):
    """Class-balanced cross-entropy over the assessed (structure, finding) pairs whose structure is in the patch.

    A structure's score is pooled over its region. Presence is known of the whole structure, but a patch may hold a
    part: a present finding weighs by the share of the structure that is seen, an absent one fully, as it is absent
    everywhere. Where the place of a finding is marked, the patch either shows it or not, and either counts fully.
    Absent findings and marked ones also cost voxel by voxel. Present and absent decisions weigh the same in total, for
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

    def forward(self, maps: torch.Tensor, labels: torch.Tensor, known: Known) -> torch.Tensor:
        """Return the loss, a scalar.

        Args:
            maps: (B, F, ...) finding logits at full resolution.
            labels: (B, ...) label codes of the same voxels.
            known: What is known of the cases.
        """
        with torch.autocast(device_type=maps.device.type, enabled=False):
            maps = maps.float()
            regions = structure_regions(labels, self.codes, self.spacing, self.margin_mm)
            scores, _ = pool_scores(maps, regions, len(self.codes))
            marked = self._marked(regions, known, maps.shape[1])
            present, weights = self._targets(scores, regions, known, marked)
            self.last = ScoredDecisions(scores.detach(), torch.where(weights > 0, present.int(), -1), weights > 0)
            cost = F.binary_cross_entropy_with_logits(scores, present.float(), reduction="none")
            pooled = balanced_mean(cost, weights, present)
            if self.voxel_weight:
                pooled = pooled + self.voxel_weight * self._voxels(maps, regions, known, weights, marked)
            return pooled + 0 * maps.sum()

    def _targets(
        self, scores: torch.Tensor, regions: Regions, known: Known, marked: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Whether each decision is present in the patch, and its weight, both (B, S, F)."""
        seen = self._count(regions.pair, regions.own.float(), scores.shape[0])
        present = known.status == 1
        share = torch.ones_like(seen) if known.sizes is None else (seen / known.sizes.clamp_min(1)).clamp(max=1)
        weights = torch.where(present, share[:, :, None], torch.ones_like(scores))
        if marked is not None:
            here = torch.stack([self._count(regions.pair, column, scores.shape[0]) for column in marked.float().T], 2)
            present = torch.where(known.pointed, here > 0, present)
            weights = torch.where(known.pointed, torch.ones_like(weights), weights)
        return present, weights * (known.status >= 0) * (seen >= SMALLEST_REGION)[:, :, None]

    def _count(self, pair: torch.Tensor, values: torch.Tensor, batch: int) -> torch.Tensor:
        """Sum values by pair, (B, S)."""
        total = torch.zeros(batch * len(self.codes), device=pair.device)
        return total.index_add(0, pair, values).unflatten(0, (batch, len(self.codes)))

    def _marked(self, regions: Regions, known: Known, num_findings: int) -> torch.Tensor | None:
        """Which voxels of the regions carry a marked finding of their own structure, (M, F) bool."""
        if known.points is None or known.pointed is None:
            return None
        sample = torch.div(regions.pair, len(self.codes), rounding_mode="floor")
        bits = known.points.long().clamp_min(0).flatten(1)[sample, regions.voxel]
        marked = (bits[:, None] >> torch.arange(num_findings, device=bits.device)) & 1
        return (marked != 0) & known.pointed.flatten(0, 1)[regions.pair]

    def _voxels(
        self, maps: torch.Tensor, regions: Regions, known: Known, weights: torch.Tensor, marked: torch.Tensor | None
    ) -> torch.Tensor:
        """Mean cost of voxels known to be free of a finding, plus that of voxels where it is marked."""
        sample = torch.div(regions.pair, len(self.codes), rounding_mode="floor")
        clear = known.status == 0 if known.pointed is None else (known.status == 0) | known.pointed
        usable = ((weights > 0) & clear).flatten(0, 1)[regions.pair]
        values = maps.flatten(2)[sample, :, regions.voxel]  # (M, F)
        free = usable if marked is None else usable & ~marked
        cost = _mean(F.softplus(values), free)
        return cost if marked is None else cost + _mean(F.softplus(-values), usable & marked)


def _mean(cost: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    return (cost * chosen).sum() / chosen.sum().clamp_min(1)


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
