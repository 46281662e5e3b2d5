"""A seeded lumbar spine MRI: T1 and T2 volumes, 19 labelled structures and five kinds of findings."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.synthetic.anatomy import Anatomy, sample_anatomy
from nnunet_textguided.synthetic.appearance import NOISE_SD, add_noise, render
from nnunet_textguided.synthetic.findings_plan import plan_findings
from nnunet_textguided.synthetic.lesions import Lesion, draw_lesions, place_lesion
from nnunet_textguided.synthetic.shapes import Grid, draw_canal, draw_labels, make_grid

ORIENTATION = "PIR"
DIRECTION = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
"""SimpleITK direction of PIR: x runs backwards, y down and z to the right, in LPS world axes."""

_TOP_LOST, _SACRUM_CUT = 0.45, 0.15  # shares of scans whose view is cut there
_EDGE_MM = 2.0  # kept between the edge of the view and what must be inside


@dataclass(frozen=True)
class PhantomSpec:
    """What a phantom's scan looks like.

    Attributes:
        shape: (D, H, W) voxels: sagittal slices, rows from head to foot, columns from front to back.
        spacing: mm along (D, H, W).
        full_field_of_view: Always show all 19 structures. Otherwise about six scans in ten lose structures at the top
            (never below T12) or a part of the sacrum.
    """

    shape: tuple[int, int, int] = (12, 288, 160)
    spacing: tuple[float, float, float] = (4.0, 1.2, 1.2)
    full_field_of_view: bool = False


@dataclass(frozen=True)
class PlacedFinding:
    """One decision of the grid.

    Attributes:
        structure: Structure name.
        finding: Finding name.
        present: 1 or 0.
        position_mm: LPS world position of the lesion's centre, None where absent.
    """

    structure: str
    finding: str
    present: int
    position_mm: tuple[float, float, float] | None


@dataclass(frozen=True)
class Phantom:
    """One phantom scan. Arrays are (D, H, W) in the orientation `ORIENTATION`.

    Attributes:
        t1: Signal, float32.
        t2: Signal, float32, on the same grid.
        labels: Codes of `structures.CODES`, uint8; normal extent of every structure (see `shapes.draw_labels`).
        canal: The dural sac, bool.
        spacing: mm along (D, H, W).
        origin_mm: LPS world position (3,) of voxel (0, 0, 0).
        findings: All 29 decisions.
        lesions: The drawn lesions with sizes and contrasts.
        noise_sd: Standard deviation of the noise on T1 and T2, in units of the images.
        lesion_change: Signal change by the lesions on T1 and T2, (2, D, H, W) in units of the images, before noise.
    """

    t1: np.ndarray
    t2: np.ndarray
    labels: np.ndarray
    canal: np.ndarray
    spacing: tuple[float, float, float]
    origin_mm: np.ndarray
    findings: list[PlacedFinding]
    lesions: list[Lesion]
    noise_sd: tuple[float, float]
    lesion_change: np.ndarray = field(repr=False)


def generate_phantom(seed: int, spec: PhantomSpec | None = None) -> Phantom:
    """Draw the phantom of a seed; the same seed and spec give the same voxels.

    Args:
        seed: Non-negative seed. Patient, findings and appearance have streams of their own, so the same seed at
            another resolution is the same patient.
        spec: The scan; None for the default.

    Raises:
        UserError: The field of view of the spec cannot hold a spine.
    """
    spec = spec or PhantomSpec()
    _check(spec)
    anatomy = sample_anatomy(np.random.default_rng([seed, 0]))
    origin = _origin(anatomy, spec, np.random.default_rng([seed, 2]))
    grid = make_grid(anatomy, spec.shape, spec.spacing, origin)
    labels, canal = draw_labels(anatomy, grid), draw_canal(anatomy, grid)
    findings, lesions = _place_findings(seed, anatomy, grid)
    rng = np.random.default_rng([seed, 4])
    signals = render(anatomy, grid, labels, canal, rng)
    gains = [float(rng.uniform(400, 1400)) for _ in signals]
    relative_sd = [float(rng.uniform(*NOISE_SD)) for _ in signals]
    changes = draw_lesions(lesions, grid, labels, spec.spacing[1])
    images = [
        gain * add_noise(np.clip(signal + sd * change, 0, None), sd, rng)
        for signal, change, sd, gain in zip(signals, changes, relative_sd, gains, strict=True)
    ]
    noise_sd = (relative_sd[0] * gains[0], relative_sd[1] * gains[1])
    lesion_change = np.stack([sd * change for sd, change in zip(noise_sd, changes, strict=True)])
    t1, t2 = images
    return Phantom(t1, t2, labels, canal, spec.spacing, origin, findings, lesions, noise_sd, lesion_change)


def _check(spec: PhantomSpec) -> None:
    height, depth = spec.shape[1] * spec.spacing[1], spec.shape[2] * spec.spacing[2]
    if min(spec.shape) < 1 or min(spec.spacing) <= 0 or height < 340 or depth < 160:
        raise UserError(
            f"A phantom needs a field of view of at least 340 mm from head to foot and 160 mm from front to back; "
            f"shape {spec.shape} at {spec.spacing} mm gives {height:.0f} x {depth:.0f} mm. Use more or larger voxels."
        )


def _origin(anatomy: Anatomy, spec: PhantomSpec, rng: np.random.Generator) -> np.ndarray:
    """LPS position of the first voxel: the column in the middle of the view, or cut by its upper or lower edge."""
    size = (np.asarray(spec.shape) - 1) * np.asarray(spec.spacing)
    side_jitter, height_jitter = rng.uniform([-3, -4], [3, 4]), rng.uniform(-8, 8)
    kind, lost_top, lost_bottom = rng.random(), rng.uniform(15, 85), rng.uniform(12, 32)
    bottom, top = anatomy.vertical_extent("S")[0], anatomy.vertical_extent("T9")[1]
    slack = max(0.5 * (size[1] - (top - bottom)) - _EDGE_MM, 0.0)
    view_top = 0.5 * (top + bottom + size[1]) + np.clip(height_jitter, -slack, slack)
    if not spec.full_field_of_view and kind < _TOP_LOST:
        view_top = max(top - lost_top, anatomy.vertical_extent("T12/L1")[1] + _EDGE_MM)
    elif not spec.full_field_of_view and kind < _TOP_LOST + _SACRUM_CUT:
        view_top = min(bottom + lost_bottom, anatomy.vertical_extent("L5/S")[0] - _EDGE_MM) + size[1]
    return np.array([0.5 * size[0] + side_jitter[0], -0.5 * size[2] + side_jitter[1], view_top])


def _place_findings(seed: int, anatomy: Anatomy, grid: Grid) -> tuple[list[PlacedFinding], list[Lesion]]:
    rng = np.random.default_rng([seed, 3])
    slices = grid.left.ravel()
    placed, lesions = [], []
    for structure, finding, present in plan_findings(seed):
        midline = anatomy.curve.frame(anatomy.parts[structure].middle, 0.0)[0][0]
        nearest = float(slices[np.argmin(np.abs(slices - midline))])
        lesion = place_lesion(structure, finding, anatomy, nearest, rng)  # drawn even if absent: streams stay aligned
        position = None
        if present:
            lesions.append(lesion)
            x, y, z = (float(value) for value in lesion.centre)
            position = (x, y, z)
        placed.append(PlacedFinding(structure, finding, present, position))
    return placed, lesions
