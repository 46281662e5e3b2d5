"""Rewords the levels in reports: spelled out as prompts do, and moved along the spine."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from nnunet_textguided.spine import SPINE_DISCS, SPINE_STRUCTURES, SPINE_VERTEBRAE
from nnunet_textguided.text.glossary import term_for
from nnunet_textguided.text.spine_names import canonical_name

_LEVEL = re.compile(
    r"\b([TD](?:[4-9]|1[0-3])|L[1-6])\b"  # T1 to T3 may be weightings or relaxation times
    r"(?:\s?[-/]\s?([TDLS]?\d{1,2})\b)?"
    r"(?:\s(?:levels?|discs?|disks?|vertebra(?:l body)?)\b)?",
    re.IGNORECASE,
)


def reword_levels(reports: Sequence[str], spelled: float, moved: float, seed: Sequence[int]) -> list[str]:
    """Vary how levels are written and where they are.

    Reports write "L4/L5", prompts say "intervertebral disc between the fourth and fifth lumbar vertebrae"; a tower that
    starts from random weights knows nothing of words that no report uses. And nearly all reports speak of the lowest
    three discs, while prompts name all of them: what is said of one disc is said of any other in the same words, so
    all levels of a report may be moved by the same number, which keeps their order.

    Args:
        reports: Cleaned reports.
        spelled: Share of the levels that are spelled out, drawn one by one.
        moved: Share of the reports whose levels are moved, as far as all of them stay among the 19 structures.
        seed: Of the draws.

    Returns:
        As many reports.
    """
    rng = np.random.default_rng(seed)
    return [_reword(report, spelled, moved, rng) for report in reports]


def speak_of_levels(reports: Sequence[str]) -> bool:
    """Whether any of them names a vertebra or a disc by its level.

    Args:
        reports: Cleaned reports.
    """
    return any(_name_of(match) in SPINE_STRUCTURES for report in reports for match in _LEVEL.finditer(report))


def _reword(report: str, spelled: float, moved: float, rng: np.random.Generator) -> str:
    names = [name for name in map(_name_of, _LEVEL.finditer(report)) if name in SPINE_STRUCTURES]
    steps = _possible_steps(names) if names and rng.random() < moved else [0]
    step = steps[rng.integers(len(steps))]

    def replace(match: re.Match[str]) -> str:
        name, written = _name_of(match), match.group(0)
        if name in SPINE_STRUCTURES and step:
            name = _move(name, step)
            written = name.replace("L5/S", "L5/S1")
        return term_for(name) if name and rng.random() < spelled else written

    return _LEVEL.sub(replace, report)


def _name_of(match: re.Match[str]) -> str | None:
    levels = [level.upper().replace("D", "T") for level in match.groups() if level]  # "dorsal" is thoracic
    return canonical_name("/".join(levels))


def _possible_steps(names: Sequence[str]) -> list[int]:
    """How far all names can be moved up the spine, 0 left out unless there is nothing else."""
    places = [(_kind(name).index(name), len(_kind(name)) - 1) for name in names]
    lowest, highest = max(-place for place, _ in places), min(last - place for place, last in places)
    return [step for step in range(lowest, highest + 1) if step] or [0]


def _move(name: str, step: int) -> str:
    return _kind(name)[_kind(name).index(name) + step]


def _kind(name: str) -> Sequence[str]:
    return SPINE_DISCS if name in SPINE_DISCS else SPINE_VERTEBRAE
