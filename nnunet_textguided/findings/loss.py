"""What the findings cost in training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_textguided.findings.pooling import pool_values, region_values
from nnunet_textguided.findings.regions import MARGIN_MM, Regions, structure_regions

SMALLEST_REGION = 8
"""Voxels of a structure that have to be in the patch for it to be asked for its findings."""
VOXEL_WEIGHT = 0.25
"""Of the voxel term where no place is marked, beside 1 for the pooled term."""
MARKED_WEIGHT = 6.0
"""Of the voxel term where places are marked."""
PRIOR_LOGIT = math.log(0.01 / 0.99)
"""A voxel whose finding map is zero carries the finding with a chance of 1 %."""
UNSURE_BIT = 14
"""In maps of marked places: set around marks of any finding. Below it, int16 maps have room for 14 findings."""


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
        points: (B, ...) integers on the patch's voxels: bit f is set where finding f is marked, `UNSURE_BIT` where a
            mark is so near that the voxel may show the finding or not. None = no place is.
    """

    status: torch.Tensor
    sizes: torch.Tensor | None = None
    pointed: torch.Tensor | None = None
    points: torch.Tensor | None = None


class Marks(NamedTuple):
    """What marked places say of the voxels of the regions, both (M, F) bool and false where nothing is marked.

    Attributes:
        marked: The voxel carries the finding.
        unsure: It is too near a mark to say that it does not.
    """

    marked: torch.Tensor
    unsure: torch.Tensor


class FindingLoss(nn.Module):
    """Class-balanced cross-entropy over the assessed (structure, finding) pairs whose structure is in the patch.

    A structure's score is pooled over its region. Presence is known of the whole structure, but a patch may hold a
    part: a present finding weighs by the share of the structure that is seen, an absent one fully, as it is absent
    everywhere. Where the place of a finding is marked, the patch either shows it or not, and either counts fully; a
    patch that passes a mark by a few mm (the next slice) is not asked. Absent findings and marked ones also cost voxel
    by voxel. Present and absent decisions weigh the same in total, for each finding; where nothing is assessed the loss
    is zero times the sum of the maps, so that every parameter has a gradient (DDP needs it).

    Args:
        codes: Label codes of the structures, in the order of `status`.
        spacing: Of the patch's spatial axes, mm.
        margin_mm: How far regions reach beyond their structure.
        voxel_weight: Weight of the voxel term where no place is marked.
        marked_weight: Weight of the voxel term where places are marked.
    """

    def __init__(
        self,
        codes: Sequence[int],
        spacing: Sequence[float],
        margin_mm: float = MARGIN_MM,
        voxel_weight: float = VOXEL_WEIGHT,
        marked_weight: float = MARKED_WEIGHT,
    ) -> None:
        super().__init__()
        self.codes = tuple(codes)
        self.spacing = tuple(spacing)
        self.margin_mm = margin_mm
        self.voxel_weight = voxel_weight
        self.marked_weight = marked_weight
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
            values = region_values(maps, regions, len(self.codes))
            scores, _ = pool_values(values, regions, len(maps), len(self.codes))
            marks = self._marks(regions, known, maps.shape[1])
            present, weights = self._targets(scores, regions, known, marks)
            self.last = ScoredDecisions(scores.detach(), torch.where(weights > 0, present.int(), -1), weights > 0)
            cost = F.binary_cross_entropy_with_logits(scores, present.float(), reduction="none")
            pooled = balanced_mean(cost, weights, present)
            weight = self.voxel_weight if marks is None else self.marked_weight
            if weight:
                pooled = pooled + weight * self._voxels(values, regions, known, weights, marks)
            return pooled + 0 * maps.sum()

    def _targets(
        self, scores: torch.Tensor, regions: Regions, known: Known, marks: Marks | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Whether each decision is present in the patch, and its weight, both (B, S, F)."""
        batch = scores.shape[0]
        seen = self._count(regions.pair, regions.own[:, None], batch)  # (B, S, 1)
        present = known.status == 1
        share = torch.ones_like(seen) if known.sizes is None else (seen / known.sizes[:, :, None].clamp_min(1))
        weights = torch.where(present, share.clamp(max=1), torch.ones_like(scores))
        if marks is not None and known.pointed is not None:
            here = self._count(regions.pair, marks.marked, batch) > 0
            passed = (self._count(regions.pair, marks.unsure, batch) > 0) & ~here
            present = torch.where(known.pointed, here, present)
            weights = torch.where(known.pointed, (~passed).float(), weights)
        return present, weights * (known.status >= 0) * (seen >= SMALLEST_REGION)

    def _count(self, pair: torch.Tensor, chosen: torch.Tensor, batch: int) -> torch.Tensor:
        """Count voxels chosen (M, n) by pair, (B, S, n)."""
        total = torch.zeros(batch * len(self.codes), chosen.shape[1], device=pair.device)
        return total.index_add(0, pair, chosen.float()).unflatten(0, (batch, len(self.codes)))

    def _marks(self, regions: Regions, known: Known, num_findings: int) -> Marks | None:
        """Which voxels of the regions carry a marked finding of their own structure, or may."""
        if known.points is None or known.pointed is None:
            return None
        bits = region_values(known.points.long().clamp_min(0)[:, None], regions, len(self.codes))  # (M, 1)
        pointed = known.pointed.flatten(0, 1)[regions.pair]
        marked = ((bits >> torch.arange(num_findings, device=bits.device)) & 1 != 0) & pointed
        return Marks(marked, ((bits >> UNSURE_BIT) & 1 != 0) & pointed & ~marked)

    def _voxels(
        self, values: torch.Tensor, regions: Regions, known: Known, weights: torch.Tensor, marks: Marks | None
    ) -> torch.Tensor:
        """Cost of voxels known to be free of a finding, and of those where it is marked; values are (M, F)."""
        clear = known.status == 0 if known.pointed is None else (known.status == 0) | known.pointed
        usable = ((weights > 0) & clear).flatten(0, 1)[regions.pair]
        if marks is None:
            return _mean(F.softplus(values), usable)
        return marked_cost(values, usable & marks.marked, usable & ~marks.marked & ~marks.unsure)


def _mean(cost: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    return (cost * chosen).sum() / chosen.sum().clamp_min(1)


def marked_cost(values: torch.Tensor, marked: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of voxels, each counted once, per marked voxel of the finding; a mean over findings.

    Present and absent are not balanced here: where a lesion would lie is soon learned, and whether there is one is told
    by free voxels of such places, which a mean over all free voxels would hardly hear. That nearly all voxels are free
    is granted in advance by `PRIOR_LOGIT`. Prior and normalisation as in RetinaNet (Lin et al., ICCV 2017).

    Args:
        values: (M, F) finding logits.
        marked: (M, F) bool.
        free: (M, F) bool.

    Returns:
        A scalar; findings that are marked nowhere cost nothing.
    """
    odds = values + PRIOR_LOGIT
    cost = (F.softplus(-odds) * marked + F.softplus(odds) * free).sum(0)
    count = marked.sum(0)
    return (cost / count.clamp_min(1) * (count > 0)).sum() / (count > 0).sum().clamp_min(1)


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
