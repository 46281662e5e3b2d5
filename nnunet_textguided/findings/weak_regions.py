"""Which structure a voxel speaks for where the mask does not say."""

from __future__ import annotations

from typing import NamedTuple

import torch

SURE = 0.8
"""Probability from which the network's own prediction stands for a missing mask."""


class Gaps(NamedTuple):
    """Where the masks of a batch are not complete.

    Attributes:
        ignore_label: Code of voxels that are not annotated, None if there is none.
        lacking: (B, C) bool, classes that the mask of a sample leaves out: they may hide in its background.
        placed: (B, C) bool, structures whose place is marked in findings.csv.
        cells: (B, ...) code of the structure marked nearby, 0 where none is; None = no place is marked.
    """

    ignore_label: int | None
    lacking: torch.Tensor
    placed: torch.Tensor
    cells: torch.Tensor | None = None


def fill_gaps(labels: torch.Tensor, logits: torch.Tensor, gaps: Gaps) -> torch.Tensor:
    """Name the voxels that the mask does not, so that findings can be pooled over them.

    Near a marked place it is the structure marked there: marks know the level, which the network may have wrong.
    Elsewhere it is what the network predicts at that moment, if it is sure; a structure without a mark may be predicted
    near the mark of another, too. What nobody names is background.

    Args:
        labels: (B, ...) label codes.
        logits: (B, C, ...) the network's, of the same voxels; class and code are the same.
        gaps: Where the masks are not complete.

    Returns:
        (B, ...) label codes; voxels that are annotated as a structure keep their code.
    """
    probability, predicted = logits.detach().float().softmax(1).max(1)
    sure = probability >= SURE
    unknown = labels == (-1 if gaps.ignore_label is None else gaps.ignore_label)
    cells = torch.zeros_like(labels) if gaps.cells is None else gaps.cells.to(labels.dtype)
    structure = predicted > 0
    free = structure & ((cells == 0) | ~_of_class(gaps.placed, predicted))
    hidden = (labels == 0) & _of_class(gaps.lacking, predicted)
    named = torch.where(unknown, cells, labels)
    return torch.where(sure & ((unknown & free) | hidden), predicted.to(labels.dtype), named)


def _of_class(table: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Look up (B, C) at the class of each voxel (B, ...)."""
    return table.gather(1, classes.flatten(1)).view_as(classes)
