"""A bigram model of tokens: what a text encoder must beat to have learned more than which word follows which."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

_WEIGHTS = ((0.9, 0.09), (0.8, 0.19), (0.7, 0.29), (0.6, 0.39), (0.5, 0.49), (0.4, 0.59))


class Bigram:
    """Tokens told by the one before, by how frequent they are, and by chance, in fixed shares.

    Jelinek and Mercer's interpolation; the shares are the best for the held-out texts themselves, in favour of this
    model.

    Args:
        texts: Token ids of texts, start and end included.
        vocab_size: Number of token ids.
    """

    def __init__(self, texts: Sequence[Sequence[int]], vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.single = Counter(token for text in texts for token in text[1:])
        self.pairs = Counter(pair for text in texts for pair in pairwise(text))
        self.before = Counter(token for text in texts for token in text[:-1])
        self.total = max(self.single.total(), 1)

    def perplexity(self, texts: Sequence[Sequence[int]]) -> float:
        """Per-token perplexity of texts at the best shares.

        Args:
            texts: Token ids, start and end included; the start is given.
        """
        return min(self._perplexity(texts, *shares) for shares in _WEIGHTS)

    def _perplexity(self, texts: Sequence[Sequence[int]], pair_share: float, single_share: float) -> float:
        cost, count = 0.0, 0
        for text in texts:
            for before, token in pairwise(text):
                pair = self.pairs[before, token] / self.before[before] if self.before[before] else 0.0
                chance = (1 - pair_share - single_share) / self.vocab_size
                p = pair_share * pair + single_share * self.single[token] / self.total + chance
                cost -= math.log(p)
                count += 1
        return math.exp(cost / max(count, 1))
