"""What the text tower is trained for: the next token, and the same sentence under two dropouts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F


def next_token_loss(
    states: torch.Tensor, read_out: Callable[[torch.Tensor], torch.Tensor], tokens: torch.Tensor, end_of_text: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of every token after the first, up to the end of the text and including it.

    What follows the end is padding, whose id (0) is a real token elsewhere, so it is told by place and not by id.

    Args:
        states: (B, L, width), the one at t tells token t + 1.
        read_out: Scores all V tokens, (N, width) -> (N, V); called for states within the texts only.
        tokens: (B, L).
        end_of_text: Id of the end; each row holds it.

    Returns:
        Sum of the costs in nats, and the number of tokens told.
    """
    inside = before_end(tokens, end_of_text)[:, :-1]  # the token told at t is still within the text
    scores = read_out(states[:, :-1][inside]).float()
    return F.cross_entropy(scores, tokens[:, 1:][inside], reduction="sum"), inside.sum()


def before_end(tokens: torch.Tensor, end_of_text: int) -> torch.Tensor:
    """(B, L) bool: true up to the token before the end of the text.

    Args:
        tokens: (B, L).
        end_of_text: Id of the end; the first one counts.
    """
    return (tokens == end_of_text).cumsum(1) == 0


def sentence_loss(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Contrast: every text should be nearest to its partner, to itself under another dropout or to its neighbour.

    Gao et al., "SimCSE", EMNLP 2021, both ways round.

    Args:
        first: (B, D).
        second: (B, D), the partners.
        temperature: Of the softmax over cosines; SimCSE has 0.05.
    """
    cosine = F.normalize(first.float(), dim=1) @ F.normalize(second.float(), dim=1).T / temperature
    truth = torch.arange(len(cosine), device=cosine.device)
    return 0.5 * (F.cross_entropy(cosine, truth) + F.cross_entropy(cosine.T, truth))
