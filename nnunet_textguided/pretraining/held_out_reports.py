"""How well a tower tells reports that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn import functional as F

from nnunet_textguided.pretraining.causal_tower import CausalTower
from nnunet_textguided.pretraining.pieces import halves, sentences_of
from nnunet_textguided.pretraining.text_objectives import next_token_loss
from nnunet_textguided.pretraining.text_tokens import ReportTokens


class ReportScores(NamedTuple):
    """Scores of held-out reports.

    Attributes:
        perplexity: Per token, end of text included.
        retrieval: Share of reports whose second half is the nearest of all second halves to their first half.
        chance: Retrieval by chance.
    """

    perplexity: float
    retrieval: float
    chance: float


class HeldOutReports:
    """Reports kept back.

    Args:
        reports: Cleaned reports.
        tokens: Of the tower.
    """

    def __init__(self, reports: Sequence[str], tokens: ReportTokens) -> None:
        self.tokens = tokens
        self.pieces = [piece for report in reports for piece in tokens.pieces(report)]
        fitting = [pair for pair in map(self._halves, reports) if pair]
        # boilerplate halves that several reports share have no one right answer
        self.pairs = [pair for pair in fitting if sum(pair[1] == other[1] for other in fitting) == 1]
        self._ids = tokens.ids(self.pieces)
        self._halves_ids = [tokens.ids([pair[side] for pair in self.pairs]) for side in (0, 1)]

    def _halves(self, report: str) -> tuple[str, str] | None:
        """Halves that fit into the context: of a long report those of its first sentences."""
        sentences = sentences_of(report)
        while (pair := halves(sentences)) and max(map(self.tokens.count, pair)) > self.tokens.context_length - 3:
            sentences = sentences[:-1]
        return pair

    @torch.no_grad()
    def scores(self, tower: CausalTower, batch: int = 32) -> ReportScores:
        """Measure a tower, dropout off.

        Args:
            tower: The tower.
            batch: Texts at a time.
        """
        training = tower.training
        tower.eval()
        cost, count = 0.0, 0
        for rows in self._ids.to(tower.device).split(batch):
            states, _ = tower(rows, self.tokens.end)
            part, n = next_token_loss(states, tower.logits, rows[:, : states.shape[1]], self.tokens.end)
            cost, count = cost + float(part), count + int(n)
        retrieval = self._retrieval(tower) if len(self.pairs) > 1 else float("nan")
        tower.train(training)
        return ReportScores(math.exp(cost / max(count, 1)), retrieval, 1 / max(len(self.pairs), 1))

    def _retrieval(self, tower: CausalTower) -> float:
        first, second = (
            F.normalize(tower(ids.to(tower.device), self.tokens.end)[1], dim=1) for ids in self._halves_ids
        )
        first, second = first - first.mean(0), second - second.mean(0)
        nearest = (F.normalize(first, dim=1) @ F.normalize(second, dim=1).T).argmax(1)
        return float((nearest == torch.arange(len(nearest), device=nearest.device)).float().mean())
