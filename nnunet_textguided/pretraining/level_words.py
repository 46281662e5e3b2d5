"""Spells out levels in reports, so that a tower trained on "L4-5" also learns what the prompts say."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from nnunet_textguided.text.glossary import term_for
from nnunet_textguided.text.spine_names import canonical_name

_LEVEL = re.compile(
    r"\b([TD](?:[4-9]|1[0-3])|L[1-6])\b"  # T1 to T3 may be weightings or relaxation times
    r"(?:\s?[-/]\s?([TDLS]?\d{1,2})\b)?"
    r"(?:\s(?:levels?|discs?|disks?|vertebra(?:l body)?)\b)?",
    re.IGNORECASE,
)


def spell_levels(reports: Sequence[str], share: float, seed: int) -> list[str]:
    """Replace some of the levels by the glossary's terms.

    Reports write "L4/L5", prompts say "intervertebral disc between the fourth and fifth lumbar vertebrae"; a tower that
    starts from random weights knows nothing of words that no report uses.

    Args:
        reports: Cleaned reports.
        share: Share of the levels that are spelled out, drawn one by one; 0 leaves the reports as they are.
        seed: Of the draws.

    Returns:
        As many reports.
    """
    rng = np.random.default_rng([seed, 1])
    return [_LEVEL.sub(lambda match: _spelled(match, rng.random() < share), report) for report in reports]


def _spelled(match: re.Match[str], chosen: bool) -> str:
    levels = [level.upper().replace("D", "T") for level in match.groups() if level]  # "dorsal" is thoracic
    name = canonical_name("/".join(levels)) if chosen else None
    return term_for(name) if name else match.group(0)
