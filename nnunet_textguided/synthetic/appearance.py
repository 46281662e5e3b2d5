"""How a phantom patient looks on T1 and T2: tissues, texture, coil sensitivity and noise."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from nnunet_textguided.synthetic.anatomy import CANAL_DEPTH, CANAL_GAP, Anatomy
from nnunet_textguided.synthetic.shapes import Grid
from nnunet_textguided.synthetic.structures import BOTTOM_UP, CODES, DISCS

NOISE_SD = (0.035, 0.055)
"""Range of the noise's standard deviation, as a share of the brightest tissue; fixed, see `findings_plan`."""

# tissue -> relative signal on T1 and T2
_SIGNAL = {
    "air": (0.01, 0.01),
    "fat": (0.85, 0.70),
    "muscle": (0.28, 0.20),
    "viscera": (0.36, 0.38),
    "vessel": (0.10, 0.08),
    "marrow": (0.50, 0.42),
    "cortex": (0.14, 0.10),
    "disc": (0.32, 0.22),
    "nucleus": (0.36, 0.68),
    "fluid": (0.18, 0.95),
    "nerve": (0.38, 0.45),
    "epidural": (0.70, 0.60),
}
_TISSUES = {name: index for index, name in enumerate(_SIGNAL)}


def render(
    anatomy: Anatomy,
    grid: Grid,
    labels: np.ndarray,
    canal: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return noise-free T1 and T2 signal, float32 (D, H, W) each, with coil sensitivity but without lesions.

    Args:
        anatomy: The patient.
        grid: The voxel grid.
        labels: The structures' codes (D, H, W).
        canal: The dural sac, bool (D, H, W).
        rng: Source of randomness: tissue signal, hydration of every disc, texture, sensitivity.
    """
    tissues = _paint_tissues(anatomy, grid, labels, canal)
    nucleus = _nucleus(anatomy, grid, labels)
    hydration = {name: rng.uniform(0.05, 1.0) for name in DISCS}
    wet = np.zeros(max(CODES.values()) + 1, dtype=np.float32)
    for name, value in hydration.items():
        wet[CODES[name]] = value
    images = []
    for channel in range(2):
        table = np.array([signal[channel] for signal in _SIGNAL.values()], dtype=np.float32)
        table = table * rng.uniform(0.88, 1.12, size=table.shape).astype(np.float32)
        image = table[tissues]
        image += (table[_TISSUES["nucleus"]] - table[_TISSUES["disc"]]) * nucleus * wet[labels]
        image *= 1 + _smooth_field(image.shape, (0.5, 12, 10), 0.10, rng) * (tissues != _TISSUES["air"])
        image *= 1 + _smooth_field(image.shape, (0.5, 40, 40), 0.04, rng)
        image = gaussian_filter(image, (0, 0.6, 0.6))  # in-plane blur: no voxel belongs to one tissue only
        images.append(np.clip(image * _sensitivity(grid, anatomy, rng), 0, None).astype(np.float32))
    return images[0], images[1]


def add_noise(signal: np.ndarray, noise_sd: float, rng: np.random.Generator) -> np.ndarray:
    """Return the magnitude of the signal with Gaussian noise in both channels of the receiver (Rician).

    Args:
        signal: Noise-free signal of any shape.
        noise_sd: Standard deviation in each channel.
        rng: Source of randomness.
    """
    real = signal + rng.normal(0, noise_sd, signal.shape)
    return np.hypot(real, rng.normal(0, noise_sd, signal.shape)).astype(np.float32)


def _paint_tissues(anatomy: Anatomy, grid: Grid, labels: np.ndarray, canal: np.ndarray) -> np.ndarray:
    depth = anatomy.half_depth(grid.s)
    behind = grid.u - depth - CANAL_GAP - CANAL_DEPTH  # mm behind the dural sac
    depth_under_skin = _skin_line(anatomy, grid) - grid.posterior
    plane = np.full(grid.s.shape, _TISSUES["viscera"], dtype=np.uint8)
    plane[behind > 0] = _TISSUES["muscle"]
    plane[(behind > 28) & (depth_under_skin < 30)] = _TISSUES["fat"]
    plane[depth_under_skin < 12] = _TISSUES["fat"]
    plane[depth_under_skin < 0] = _TISSUES["air"]
    plane[(grid.u < -depth - 3) & (grid.u > -depth - 16) & (grid.s > 0.8 * anatomy.parts["L4"].low)] = _TISSUES[
        "vessel"
    ]
    plane[(grid.u <= -depth) & (grid.u > -depth - 3)] = _TISSUES["fat"]
    tissues = np.repeat(plane[None], labels.shape[0], axis=0)
    _put(
        tissues, _TISSUES["epidural"], (behind > -CANAL_DEPTH - CANAL_GAP) & (behind <= 4) & (np.abs(grid.lateral) < 13)
    )
    _put(tissues, _TISSUES["muscle"], (behind > -CANAL_DEPTH - CANAL_GAP) & (behind < 0) & (np.abs(grid.lateral) >= 13))
    _paint_processes(tissues, anatomy, grid, behind)
    _put(tissues, _TISSUES["fluid"], canal)
    _put(tissues, _TISSUES["nerve"], canal & _cord(anatomy, grid, behind))
    bone = (labels > 0) & (labels <= CODES["T9"])
    _put(tissues, _TISSUES["marrow"], bone)
    _put(tissues, _TISSUES["disc"], labels > CODES["T9"])
    _put(tissues, _TISSUES["cortex"], bone & _in_plane_rim(labels))
    return tissues


def _skin_line(anatomy: Anatomy, grid: Grid) -> np.ndarray:
    """Posterior coordinate in mm of the skin in every row (H, W): the back follows the spine's curve only a little."""
    curve = anatomy.curve
    rows = np.interp(grid.superior, curve.points[:, 1], curve.points[:, 0])
    lumbar = curve.points[(curve.s > 0) & (curve.s < anatomy.parts["T9"].high), 0]
    return 0.25 * rows + 0.75 * lumbar.max() + anatomy.skin - 6


def _put(tissues: np.ndarray, tissue: int, where: np.ndarray) -> None:
    np.copyto(tissues, np.uint8(tissue), where=where)


def _paint_processes(tissues: np.ndarray, anatomy: Anatomy, grid: Grid, behind: np.ndarray) -> None:
    """Draw spinous processes behind the canal, pointing down and back, each below the level of its vertebra."""
    for name in BOTTOM_UP[2::2]:
        part = anatomy.parts[name]
        middle = part.middle - 0.25 * (part.high - part.low) - 0.35 * behind
        half = 0.30 * (part.high - part.low)
        inside = (behind > 3) & (behind < 26) & (np.abs(grid.s - middle) < half)
        around = (behind > 3) & (behind < 26) & (np.abs(grid.s - middle) < half + 4)
        _put(tissues, _TISSUES["fat"], around & (np.abs(grid.lateral) < 6))
        _put(tissues, _TISSUES["marrow"], inside & (np.abs(grid.lateral) < 5))


def _cord(anatomy: Anatomy, grid: Grid, behind: np.ndarray) -> np.ndarray:
    """Spinal cord down to about L1, then the cauda equina thinning along the canal's back."""
    conus = anatomy.parts["L1"].middle
    above = grid.s - conus
    centre = -CANAL_DEPTH * np.interp(above, [-40, 10], [0.28, 0.5])
    half = np.interp(above, [-180, -20, 10], [0.8, 2.4, 3.6])
    return (np.abs(behind - centre) < half) & (np.abs(grid.lateral) < 5)


def _in_plane_rim(labels: np.ndarray) -> np.ndarray:
    rim = np.zeros(labels.shape, dtype=bool)
    for axis in (1, 2):
        differs = np.diff(labels.astype(np.int16), axis=axis) != 0
        first, last = [slice(None)] * 3, [slice(None)] * 3
        first[axis], last[axis] = slice(None, -1), slice(1, None)
        rim[tuple(first)] |= differs
        rim[tuple(last)] |= differs
    return rim


def _nucleus(anatomy: Anatomy, grid: Grid, labels: np.ndarray) -> np.ndarray:
    """Share of nucleus pulposus in every voxel of a disc: an ellipsoid in its middle with a soft rim."""
    share = np.zeros(labels.shape, dtype=np.float32)
    for name in DISCS:
        part, where = anatomy.parts[name], labels == CODES[name]
        _, rows, columns = np.nonzero(where)
        if not rows.size:
            continue
        box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        along = (grid.s[box] - part.middle) / (0.5 * (part.high - part.low))
        radius = along**2 + (grid.u[box] / (0.72 * part.half_depth)) ** 2
        radius = radius + (grid.lateral[:, box[0], box[1]] / (0.8 * part.half_width)) ** 2
        share[:, box[0], box[1]] += np.clip(1.6 * (1 - radius), 0, 1) * where[:, box[0], box[1]]
    return share


def _smooth_field(
    shape: tuple[int, ...], voxels: tuple[float, float, float], sd: float, rng: np.random.Generator
) -> np.ndarray:
    """Return smooth random texture (D, H, W) with about the given standard deviation and grain in voxels."""
    coarse = tuple(
        max(2, round(size / grain) if grain > 1 else size) for size, grain in zip(shape, voxels, strict=True)
    )
    field = rng.normal(0, sd, coarse).astype(np.float32)
    field = zoom(field, [size / small for size, small in zip(shape, coarse, strict=True)], order=1, grid_mode=False)
    return field[: shape[0], : shape[1], : shape[2]]


def _sensitivity(grid: Grid, anatomy: Anatomy, rng: np.random.Generator) -> np.ndarray:
    """Signal falls off from the back, where the surface coil lies, and towards the ends of the view (H, W)."""
    reach, length = rng.uniform(170, 320), rng.uniform(220, 400)
    centre = rng.uniform(-40, 40)
    distance = np.clip(anatomy.curve.points[:, 0].mean() + anatomy.skin - grid.posterior, 0, None)
    field = np.exp(-distance / reach) * np.exp(-(((grid.superior - centre) / length) ** 2))
    return (field / field[np.abs(grid.u) < 15].mean()).astype(np.float32)
