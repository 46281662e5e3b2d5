"""Prompts of structures that follow each other along the spine, which reports say too seldom."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from nnunet_textguided.spine import SPINE_DISCS, SPINE_VERTEBRAE
from nnunet_textguided.text.glossary import term_for
from nnunet_textguided.text.prompts import DEFAULT_TEMPLATES

_NEIGHBOURS = [*pairwise(SPINE_VERTEBRAE), *pairwise(SPINE_DISCS)]


def anatomy_pairs(count: int, seed: Sequence[int], modality: str = "MRI") -> list[tuple[str, str]]:
    """Draw pairs of prompts, as `embed` words them: a vertebra and the next one, a disc and the next one.

    Args:
        count: How many.
        seed: Of the draws.
        modality: For the templates.
    """
    rng = np.random.default_rng([*seed, 1])
    pairs = []
    for place in rng.integers(len(_NEIGHBOURS), size=count):
        names = _NEIGHBOURS[place][:: rng.choice([-1, 1])]
        templates = rng.choice(DEFAULT_TEMPLATES, size=2)
        one, other = (t.format(term=term_for(n), modality=modality) for t, n in zip(templates, names, strict=True))
        pairs.append((one, other))
    return pairs
