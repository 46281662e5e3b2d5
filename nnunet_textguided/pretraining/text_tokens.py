"""Reports as token ids of a tower's own tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.pieces import cut_into_pieces, neighbours

Tokenizer = Callable[[Sequence[str]], torch.Tensor]


class ReportTokens:
    """Cuts reports to a tower's context and turns them into ids.

    Args:
        tokenizer: open_clip's: texts -> (N, L), start and end included, cut at L.
        context_length: L.
        vocab_size: Ids that the tower knows.
    """

    def __init__(self, tokenizer: Tokenizer, context_length: int, vocab_size: int) -> None:
        self.tokenizer = tokenizer
        self.context_length = context_length
        row = tokenizer([""])[0]
        self.start, self.end = int(row[0]), int(row[1])
        if row.max() >= vocab_size:
            raise UserError(f"The tokenizer gives token {int(row.max())}, the tower knows {vocab_size} tokens.")

    def count(self, text: str) -> int:
        """Tokens of a text without start and end; one more than fits if it does not fit.

        Args:
            text: Any text.
        """
        row = self.tokenizer([text])[0]
        filled = int((row == self.end).int().argmax()) - 1
        # a cut row ends with the end as its last token, whether or not the text would just have fitted
        return self.context_length - 1 if filled == self.context_length - 2 else filled

    def pieces(self, report: str) -> list[str]:
        """Pieces of a report that fit.

        Args:
            report: Cleaned.
        """
        return cut_into_pieces(report, self.count, self.context_length - 3)

    def neighbours(self, reports: Sequence[str]) -> list[tuple[str, str]]:
        """Different pairs of sentences that follow each other and fit, of all reports.

        Args:
            reports: Cleaned.
        """
        pairs = [pair for report in reports for pair in neighbours(report, self.count, self.context_length - 3)]
        return [pair for pair in dict.fromkeys(pairs) if pair[0] != pair[1]]

    def ids(self, texts: Sequence[str]) -> torch.Tensor:
        """(N, L) ids of texts that fit.

        Args:
            texts: N texts.
        """
        return self.tokenizer(list(texts))

    def unpadded(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text from its start to its end.

        Args:
            texts: Texts that fit.
        """
        rows = self.ids(texts)
        ends = (rows == self.end).int().argmax(1)
        return [row[: int(end) + 1].tolist() for row, end in zip(rows, ends, strict=True)]
