"""The training reports as a tower reads them in one pass: reworded anew every time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from nnunet_textguided.pretraining.anatomy_pairs import anatomy_pairs
from nnunet_textguided.pretraining.level_words import reword_levels, speak_of_levels
from nnunet_textguided.pretraining.text_settings import TextTraining
from nnunet_textguided.pretraining.text_tokens import ReportTokens


class PassTexts(NamedTuple):
    """Token ids of one pass.

    Attributes:
        pieces: (N, L), pieces of all reports.
        neighbours: Two (M, L): sentences and those that follow them, names and those next to them. M may be 0.
    """

    pieces: torch.Tensor
    neighbours: tuple[torch.Tensor, torch.Tensor]


class ReportCorpus:
    """Reports to train with.

    Args:
        reports: Cleaned reports.
        tokens: Of the tower.
        training: Says how levels are reworded.
    """

    def __init__(self, reports: Sequence[str], tokens: ReportTokens, training: TextTraining) -> None:
        self.reports, self.tokens, self.training = list(reports), tokens, training
        self.anatomy = training.anatomy if speak_of_levels(reports) else 0.0  # of the spine; not for other reports

    def texts(self, number: int) -> PassTexts:
        """Ids of a pass; they follow from the seed and the pass alone.

        Args:
            number: Of the pass.
        """
        training, tokens = self.training, self.tokens
        reports = reword_levels(self.reports, training.spelled, training.moved, [training.seed, number])
        pieces = [piece for report in reports for piece in tokens.pieces(report)]
        pairs = tokens.neighbours(reports) if training.neighbours else []
        named = round(len(pairs) * self.anatomy / (1 - self.anatomy))
        pairs += anatomy_pairs(named, [training.seed, number])
        one, other = (tokens.ids([pair[side] for pair in pairs]) for side in (0, 1))
        return PassTexts(tokens.ids(pieces), (one, other))
