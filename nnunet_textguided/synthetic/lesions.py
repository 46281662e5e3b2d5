"""Where the lesions of a phantom lie, how large they are and how far they stand out.

Every lesion is an ellipsoid whose three axes are 3 to 8 mm long. It changes the signal by its contrast times the
noise's standard deviation, never more than twice: contrast-to-noise is at most 2 by construction.
Bulges are broad and shallow, protrusions narrow and deep, extrusions tall and moved up or down from the disc; all three
lie behind the disc in the canal's front. A Schmorl node is a round hollow of an endplate beside its disc, degeneration
a flat patch under an endplate (as in Modic changes). The constants are fixed; see `findings_plan`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnunet_textguided.synthetic.anatomy import Anatomy, Part
from nnunet_textguided.synthetic.shapes import Grid
from nnunet_textguided.synthetic.structures import BOTTOM_UP, CODES

CONTRAST_TO_NOISE = (1.3, 2.0)

# finding -> ranges in mm of the axes along the spine, front to back, left to right
AXES_MM: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "disc bulge": ((6.0, 8.0), (3.0, 4.0), (7.0, 8.0)),
    "disc protrusion": ((3.0, 4.5), (5.0, 7.0), (6.0, 8.0)),
    "disc extrusion": ((6.5, 8.0), (3.5, 5.0), (6.0, 8.0)),
    "Schmorl node": ((4.0, 6.0), (4.0, 6.0), (6.0, 8.0)),
    "vertebral degeneration": ((3.5, 5.0), (6.5, 8.0), (7.0, 8.0)),
}

# finding -> direction of its change on T1 and T2
SIGNS: dict[str, tuple[int, int]] = {
    "disc bulge": (1, -1),
    "disc protrusion": (1, -1),
    "disc extrusion": (1, -1),
    "Schmorl node": (-1, -1),
    "vertebral degeneration": (-1, 1),
}

_EXTRUSION_SHIFT = (4.5, 6.0)  # mm that an extrusion has moved along the canal
_LATERAL_JITTER = 2.0  # mm beside the slice nearest to the midline


@dataclass(frozen=True)
class Lesion:
    """One drawn finding.

    Attributes:
        structure: The structure it is reported at.
        finding: Its name.
        centre: LPS mm (3,).
        tilt: Angle of the spine there, radians.
        axes: Full axes in mm (along the spine, front to back, left to right).
        contrast: Signal change on T1 and T2 in units of the noise's standard deviation.
    """

    structure: str
    finding: str
    centre: np.ndarray
    tilt: float
    axes: tuple[float, float, float]
    contrast: tuple[float, float]


def place_lesion(
    structure: str, finding: str, anatomy: Anatomy, midslice_left: float, rng: np.random.Generator
) -> Lesion:
    """Draw size, place and contrast of one finding.

    Args:
        structure: Structure it belongs to.
        finding: One of `AXES_MM`.
        anatomy: The patient.
        midslice_left: Left coordinate in mm of a slice near the midline; the lesion crosses that slice.
        rng: Source of randomness.
    """
    along, front, left = (float(rng.uniform(*bounds)) for bounds in AXES_MM[finding])
    axes = (along, front, left)
    s, u = _spinal_place(structure, finding, axes, anatomy, rng)
    centre, tilt = anatomy.curve.frame(s, u)
    centre[0] = midslice_left + rng.uniform(-_LATERAL_JITTER, _LATERAL_JITTER)
    strength = rng.uniform(*CONTRAST_TO_NOISE, size=2)
    t1, t2 = (float(sign * value) for sign, value in zip(SIGNS[finding], strength, strict=True))
    return Lesion(structure, finding, centre, tilt, axes, (t1, t2))


def _spinal_place(
    structure: str, finding: str, axes: tuple[float, ...], anatomy: Anatomy, rng: np.random.Generator
) -> tuple[float, float]:
    part, side = anatomy.parts[structure], float(rng.choice([-1.0, 1.0]))
    if finding == "vertebral degeneration":
        room = 0.5 * (part.high - part.low) - abs(part.dish) - 0.5 * axes[0]
        return part.middle + side * room, _inside_depth(part, axes, rng)
    if finding == "Schmorl node":
        position = BOTTOM_UP.index(structure) + int(side)
        vertebra = anatomy.parts[BOTTOM_UP[position]]
        face = part.high if side > 0 else part.low
        return face + side * (abs(vertebra.dish) + 0.5 * axes[0]), _inside_depth(part, axes, rng)
    shift = side * rng.uniform(*_EXTRUSION_SHIFT) if finding == "disc extrusion" else 0.0
    return part.middle + shift, float(anatomy.half_depth(np.array(part.middle + shift))) + 0.5 * axes[1]


def _inside_depth(part: Part, axes: tuple[float, ...], rng: np.random.Generator) -> float:
    room = 0.75 * part.half_depth - 0.5 * axes[1]
    return float(rng.uniform(-room, room))


def lesion_profile(lesion: Lesion, grid: Grid, labels: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Return how much of the lesion each voxel holds.

    Behind a disc a lesion replaces only what is no structure; in a vertebra it stays within bone.

    Args:
        lesion: The lesion.
        grid: The voxel grid.
        labels: The structures' codes (D, H, W).
        voxel_mm: In-plane voxel size in mm; the rim of the lesion is that wide.

    Returns:
        float32 (D, H, W) between 0 and 1.
    """
    left, posterior, superior = lesion.centre
    behind, above = grid.posterior - posterior, grid.superior - superior
    along = behind * np.sin(lesion.tilt) + above * np.cos(lesion.tilt)
    across = behind * np.cos(lesion.tilt) - above * np.sin(lesion.tilt)
    half = 0.5 * np.asarray(lesion.axes)
    planar = (along / half[0]) ** 2 + (across / half[1]) ** 2
    profile = np.zeros(labels.shape, dtype=np.float32)
    rows, columns = np.nonzero(planar < 9)
    if not rows.size:
        return profile
    box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    # a fourth power from left to right keeps the lesion's size in the one or two thick slices it crosses
    radius = np.sqrt(planar[box][None] + ((grid.left - left) / half[2]) ** 4)
    depth_mm = (1 - radius) * half[:2].min()
    profile[:, box[0], box[1]] = np.clip(0.5 + depth_mm / voxel_mm, 0, 1)
    vertebrae = (labels > 0) & (labels <= CODES["T9"])
    in_bone = lesion.finding in ("Schmorl node", "vertebral degeneration")
    return profile * (vertebrae if in_bone else labels == 0)


def draw_lesions(
    lesions: list[Lesion], grid: Grid, labels: np.ndarray, voxel_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the signal change on T1 and T2 in units of the noise, each (D, H, W).

    Where lesions overlap the stronger one counts, so no voxel changes by more than the largest contrast.
    """
    change = np.zeros((2, *labels.shape), dtype=np.float32)
    for lesion in lesions:
        profile = lesion_profile(lesion, grid, labels, voxel_mm)
        for channel in range(2):
            drawn = lesion.contrast[channel] * profile
            np.copyto(change[channel], drawn, where=np.abs(drawn) > np.abs(change[channel]))
    return change[0], change[1]
