"""Cuts reports that are longer than a tower's context into pieces, at sentence ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+(?=\S)")


def sentences_of(report: str) -> list[str]:
    """Split a cleaned report after full stops and semicolons; "L4. 5" and other short ends may be split, too.

    Args:
        report: One line.
    """
    return [sentence for sentence in _SENTENCE_END.split(report) if sentence]


def cut_into_pieces(report: str, count_tokens: Callable[[str], int], longest: int) -> list[str]:
    """Pack whole sentences into pieces that fit; a sentence that does not fit alone is cut between words.

    Args:
        report: One line.
        count_tokens: Number of tokens of a text, without start and end.
        longest: Tokens of a piece at most.

    Returns:
        Pieces; joined by spaces they hold every word of the report in order.
    """
    parts: list[str] = []
    for sentence in sentences_of(report):
        fits = count_tokens(sentence) <= longest
        parts += [sentence] if fits else _pack(sentence.split(" "), count_tokens, longest)
    return _pack(parts, count_tokens, longest)


def _pack(parts: Sequence[str], count_tokens: Callable[[str], int], longest: int) -> list[str]:
    """Join as many parts as fit, in order; a part that does not fit alone stays as it is."""
    packed: list[str] = []
    for part in parts:
        joined = f"{packed[-1]} {part}" if packed else part
        if packed and count_tokens(joined) <= longest:
            packed[-1] = joined
        else:
            packed.append(part)
    return packed


def neighbours(report: str, count_tokens: Callable[[str], int], longest: int) -> list[tuple[str, str]]:
    """Sentences of a report that follow each other, as far as both fit.

    Args:
        report: One line.
        count_tokens: Number of tokens of a text, without start and end.
        longest: Tokens of a sentence at most.
    """
    pairs = pairwise(sentences_of(report))
    return [(one, next_one) for one, next_one in pairs if max(map(count_tokens, (one, next_one))) <= longest]


def halves(sentences: Sequence[str]) -> tuple[str, str] | None:
    """First and second half of a report's sentences; None of fewer than two.

    Args:
        sentences: Of one report.
    """
    if len(sentences) < 2:
        return None
    middle = len(sentences) // 2
    return " ".join(sentences[:middle]), " ".join(sentences[middle:])
