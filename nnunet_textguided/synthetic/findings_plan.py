"""Which abnormalities a phantom patient has: the paper's five on a fixed grid of 29 decisions a study.

The constants of this module and of `lesions` were fixed before any model was trained on phantoms and are not to be
tuned: they make a task in which a finding is neither rare nor obvious.
"""

from __future__ import annotations

import numpy as np

GRADED_DISCS = ("L5/S", "L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1")
GRADED_VERTEBRAE = ("L5", "L4", "L3", "L2", "L1")

FINDINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "disc bulge": ("bulging of the intervertebral disc", GRADED_DISCS),
    "disc protrusion": ("protrusion of the intervertebral disc", GRADED_DISCS),
    "disc extrusion": ("extrusion of the intervertebral disc", GRADED_DISCS),
    "Schmorl node": ("Schmorl node, herniation of the disc into the vertebral body", GRADED_DISCS),
    "vertebral degeneration": ("degeneration of the vertebral body and its endplates", GRADED_VERTEBRAE),
}
"""Finding -> (term, structures it applies to): the grid of the Tianchi annotations, 6 x 4 + 5 = 29 decisions."""

PREVALENCE: dict[str, float] = {
    "disc bulge": 0.50,
    "disc protrusion": 0.42,
    "disc extrusion": 0.33,
    "Schmorl node": 0.33,
    "vertebral degeneration": 0.57,
}
"""Chance that a decision is positive, the same at every level, so that the level alone says nothing. Pooled: 0.425."""


def plan_findings(seed: int) -> list[tuple[str, str, int]]:
    """Draw the findings of the patient of this seed; nothing is rendered.

    Decisions are independent: one disc may bulge, protrude and hold a Schmorl node at once.

    Args:
        seed: The phantom's seed.

    Returns:
        (structure, finding, present 1/0) for all 29 decisions, grouped by finding.
    """
    rng = np.random.default_rng([seed, 1])
    return [
        (structure, finding, int(rng.random() < PREVALENCE[finding]))
        for finding, (_, structures) in FINDINGS.items()
        for structure in structures
    ]
