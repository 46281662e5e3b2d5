"""Reports of phantom patients, worded as radiologists word them: varied, with negation, by level."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from nnunet_textguided.files import atomic_path
from nnunet_textguided.synthetic.findings_plan import GRADED_DISCS, GRADED_VERTEBRAE, plan_findings

REPORTS_FILE = "reports.jsonl"

_OPENINGS = (
    "MRI of the lumbar spine.",
    "Sagittal T1- and T2-weighted images of the lumbar spine.",
    "Lumbar spine MRI, sagittal.",
    "Examination of the lumbar spine.",
)
_PRESENT = {
    "disc bulge": (
        "Broad-based bulging of the {disc}.",
        "The {disc} bulges into the canal.",
        "Diffuse bulge at {level}.",
        "{level}: disc bulge.",
    ),
    "disc protrusion": (
        "Focal protrusion of the {disc}.",
        "{level}: disc protrusion, indenting the thecal sac.",
        "Central protrusion at {level}.",
        "Protrusion of disc material behind {level}.",
    ),
    "disc extrusion": (
        "Extrusion of the {disc} with migration of disc material.",
        "{level}: extruded disc.",
        "Extruded fragment displaced along the canal at {level}.",
        "Disc extrusion is seen at {level}.",
    ),
    "Schmorl node": (
        "Schmorl node at {level}.",
        "{level}: the disc herniates into the vertebral body, a Schmorl node.",
        "Rounded endplate defect next to the {disc}, in keeping with a Schmorl node.",
    ),
    "vertebral degeneration": (
        "Degenerative endplate change of the {vertebra} vertebral body.",
        "{vertebra}: degenerative marrow signal under the endplate.",
        "Degeneration of the {vertebra} vertebra.",
    ),
}
_ABSENT = {
    "disc bulge": (
        "No disc bulge at {level}.",
        "The {disc} does not bulge.",
        "{level}: contour of the disc is normal.",
    ),
    "disc protrusion": ("No protrusion at {level}.", "{level}: no focal protrusion."),
    "disc extrusion": ("No extrusion at {level}.", "There is no extruded disc at {level}."),
    "Schmorl node": ("No Schmorl node at {level}.", "Endplates beside the {disc} are intact."),
    "vertebral degeneration": ("The {vertebra} vertebra is normal.", "Normal marrow signal of {vertebra}."),
}
_MENTIONED = 0.35  # chance that an absent finding is written down at all
_CLOSINGS = (
    "No other abnormality.",
    "The conus ends at a normal level.",
    "Alignment is preserved.",
    "The remaining levels are unremarkable.",
)


def write_report(seed: int) -> str:
    """Word the findings of the phantom of this seed.

    Args:
        seed: The phantom's seed.
    """
    rng = np.random.default_rng([seed, 7])
    said: dict[str, list[str]] = {}
    for structure, finding, present in plan_findings(seed):
        if present or rng.random() < _MENTIONED:
            phrases = (_PRESENT if present else _ABSENT)[finding]
            said.setdefault(structure, []).append(_word(phrases[rng.integers(len(phrases))], structure, rng))
    order = [name for pair in zip(GRADED_VERTEBRAE, GRADED_DISCS[1:], strict=True) for name in pair]
    order = [GRADED_DISCS[0], *order]  # from the sacrum upwards
    if rng.random() < 0.5:
        order.reverse()
    sentences = [_OPENINGS[rng.integers(len(_OPENINGS))]]
    sentences += [sentence for name in order for sentence in said.get(name, [])]
    return " ".join([*sentences, _CLOSINGS[rng.integers(len(_CLOSINGS))]])


def _word(phrase: str, structure: str, rng: np.random.Generator) -> str:
    upper, _, lower = structure.partition("/")
    lower = {"S": "S1"}.get(lower, lower)
    level = f"{upper}{rng.choice(['/', '-'])}{lower}" if lower else structure
    return phrase.format(level=level, disc=f"{level} disc", vertebra=structure)


def write_report_file(path: str | os.PathLike[str], n_reports: int, seed: int = 0) -> Path:
    """Write reports of other phantoms than those of the data set of the same seed, one JSON object a line.

    Args:
        path: .jsonl file.
        n_reports: Number of reports.
        seed: Of the reports.
    """
    from nnunet_textguided.synthetic.dataset import phantom_seed

    first = phantom_seed(seed, 50_000)  # half of a data set's range of seeds
    path = Path(path)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for number in range(n_reports):
            file.write(json.dumps({"report": write_report(first + number)}) + "\n")
    return path
