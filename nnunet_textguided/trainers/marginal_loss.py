"""nnU-Net's loss where background may hide classes: those that the source of a case does not annotate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from nnunet_textguided.trainers.lacking import LackingClasses

BELOW_BACKGROUND = 50.0
"""Logits of merged classes lie that far below background's: their probability of e^-50 is zero to any loss."""


class MarginalLoss(nn.Module):
    """A loss over softmax outputs that sees background and the classes a case lacks as one class.

    Their probabilities are added up before the loss, the marginal softmax of Shi et al., Marginal loss and exclusion
    loss for partially supervised multi-organ segmentation (Medical Image Analysis 2021).

    Args:
        loss: nnU-Net's, over one output or a list of supervised levels.
        lacking: Which classes a case lacks.
    """

    def __init__(self, loss: nn.Module, lacking: LackingClasses) -> None:
        super().__init__()
        self.loss = loss
        self.lacking = lacking
        self.cases: list[str] = []

    def announce(self, cases: Sequence[str]) -> None:
        """Say which cases the next batch holds, one a sample."""
        self.cases = [str(case) for case in cases]

    def forward(
        self, outputs: torch.Tensor | Sequence[torch.Tensor], targets: torch.Tensor | Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Return the loss.

        Args:
            outputs: Logits (B, C, ...), or those of all levels.
            targets: Label maps (B, 1, ...) of the same levels.
        """
        levels = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
        if len(self.cases) != len(levels[0]):
            raise RuntimeError(f"Expected {len(levels[0])} announced cases, got {len(self.cases)}.")
        lacking = self.lacking.of_batch(self.cases, levels[0].shape[1])
        levels = [merge_into_background(level, lacking) for level in levels]
        return self.loss(levels[0] if isinstance(outputs, torch.Tensor) else levels, targets)


def merge_into_background(logits: torch.Tensor, lacking: torch.Tensor) -> torch.Tensor:
    """Add the probabilities of classes to that of background, by logits.

    Args:
        logits: (B, C, ...), background first.
        lacking: (B, C) bool, the classes to add; never background.

    Returns:
        (B, C, ...) float32: background has the log of the summed exponentials, the added classes have no probability.
        `logits` itself where nothing is to be added.
    """
    columns = lacking.any(0).nonzero().flatten().tolist()
    if not columns:
        return logits
    with torch.autocast(device_type=logits.device.type, enabled=False):
        merged = logits.float().clone()
        chosen = lacking[:, columns].to(logits.device).view(len(logits), -1, *[1] * (logits.ndim - 2))
        hidden = merged[:, columns]
        joined = torch.cat([merged[:, :1], hidden.masked_fill(~chosen, -torch.inf)], 1).logsumexp(1, keepdim=True)
        merged[:, :1] = joined
        merged[:, columns] = torch.where(chosen, joined - BELOW_BACKGROUND, hidden)
        return merged
