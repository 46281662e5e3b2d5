"""The shape of one phantom patient: a straight stack of vertebrae and discs, bent along a spinal curve.

World coordinates are LPS millimetres (left, posterior, superior). Every point of the sagittal plane also has spinal
coordinates: `s`, the way along the curve from the sacral endplate upwards, and `u`, the distance behind the curve.
Sizes follow adult lumbar MRI in round figures (lumbar bodies about 27 mm high and 34 mm deep, discs 6 to 11 mm).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial import cKDTree

from nnunet_textguided.synthetic.structures import BOTTOM_UP, DISCS

# structure -> (height, half depth, half width) in mm at scale 1; the sacrum tapers downwards from these
_SACRUM = (58.0, 16.5, 26.0)
_LUMBAR, _THORACIC = (26.5, 17.0, 23.5), (21.5, 14.5, 17.5)
_LUMBAR_DISC_HEIGHT, _THORACIC_DISC_HEIGHT = 9.5, 6.0
_CURVE_STEP = 0.5  # mm between samples of the curve

CANAL_GAP = 1.5
"""Epidural space in mm between the posterior wall of the column and the dural sac."""
CANAL_DEPTH = 15.0
"""Depth of the dural sac in mm, front to back."""
CANAL_HALF_WIDTH = 11.0
"""Half the width of the dural sac in mm, left to right."""


@dataclass(frozen=True)
class Part:
    """One structure of the straight stack, in mm.

    Attributes:
        name: Structure name.
        low: Way along the curve of its lower face.
        high: Way along the curve of its upper face.
        half_depth: Half its extent from front to back.
        half_width: Half its extent from left to right.
        dish: How far its faces are hollow (vertebrae, positive) or domed (discs, negative) in the middle.
    """

    name: str
    low: float
    high: float
    half_depth: float
    half_width: float
    dish: float

    @property
    def middle(self) -> float:
        """Way along the curve of its centre, in mm."""
        return 0.5 * (self.low + self.high)


@dataclass(frozen=True)
class SpinalCurve:
    """The curve the stack is bent along, sampled every half millimetre.

    Attributes:
        s: Way along the curve in mm (N,), rising.
        points: Posterior and superior coordinate in mm (N, 2).
        tilt: Angle in radians between the upward tangent and the vertical (N,), positive when it leans backwards.
        lateral: Left coordinate of the curve in mm (N,): a slight scoliosis.
    """

    s: np.ndarray
    points: np.ndarray
    tilt: np.ndarray
    lateral: np.ndarray

    def frame(self, s: float, u: float) -> tuple[np.ndarray, float]:
        """Return the LPS point (3,) in mm at spinal coordinates (s, u) and the tilt there in radians."""
        tilt = float(np.interp(s, self.s, self.tilt))
        posterior = np.interp(s, self.s, self.points[:, 0]) + u * np.cos(tilt)
        superior = np.interp(s, self.s, self.points[:, 1]) - u * np.sin(tilt)
        left = np.interp(s, self.s, self.lateral)
        return np.array([left, posterior, superior]), tilt

    def spinal_coordinates(self, posterior: np.ndarray, superior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn points of the sagittal plane into spinal coordinates.

        Args:
            posterior: Coordinates in mm (H, W).
            superior: Coordinates in mm (H, W).

        Returns:
            `s` and `u` in mm, each (H, W).
        """
        _, nearest = cKDTree(self.points).query(np.stack([posterior, superior], axis=-1).reshape(-1, 2))
        nearest = nearest.reshape(posterior.shape)
        sine, cosine = np.sin(self.tilt[nearest]), np.cos(self.tilt[nearest])
        behind, above = posterior - self.points[nearest, 0], superior - self.points[nearest, 1]
        return self.s[nearest] + behind * sine + above * cosine, behind * cosine - above * sine


@dataclass(frozen=True)
class Anatomy:
    """One phantom patient.

    Attributes:
        parts: The 19 structures by name.
        curve: The curve they stand on.
        skin: Distance in mm of the skin behind the curve.
    """

    parts: dict[str, Part]
    curve: SpinalCurve
    skin: float

    def half_depth(self, s: np.ndarray) -> np.ndarray:
        """Return the smoothed half depth of the column in mm at `s`, any shape."""
        parts = [self.parts[name] for name in BOTTOM_UP]
        ways = [parts[0].low, *(part.middle for part in parts[1:]), parts[-1].high]
        depths = [0.4 * parts[0].half_depth, *(part.half_depth for part in parts[1:]), parts[-1].half_depth]
        return np.interp(s, ways, depths)

    def vertical_extent(self, name: str) -> tuple[float, float]:
        """Return the superior coordinates in mm of a structure's lowest and highest corner."""
        part = self.parts[name]
        corners = [self.curve.frame(s, side * part.half_depth)[0][2] for s in (part.low, part.high) for side in (-1, 1)]
        return float(min(corners)), float(max(corners))


def sample_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw a patient: sizes, curvature, a slight scoliosis. The column is centred on the world's origin.

    Args:
        rng: Source of all randomness.
    """
    parts = _sample_stack(rng)
    curve = _sample_curve(rng, parts)
    return Anatomy(parts=parts, curve=curve, skin=float(rng.uniform(62, 78)))


def _sample_stack(rng: np.random.Generator) -> dict[str, Part]:
    scale = rng.uniform(0.88, 0.99)
    sacrum_height = _SACRUM[0] * scale * rng.uniform(0.92, 1.05)
    parts = {"S": Part("S", -sacrum_height, 0.0, _SACRUM[1] * scale, _SACRUM[2] * scale, 0.0)}
    top = 0.0
    for name in BOTTOM_UP[1:]:
        lumbar = name.startswith("L") or name == "T12/L1"
        height, depth, width = _LUMBAR if lumbar else _THORACIC
        if name in DISCS:
            height = (_LUMBAR_DISC_HEIGHT if lumbar else _THORACIC_DISC_HEIGHT) * rng.uniform(0.75, 1.15)
        else:
            height *= rng.uniform(0.95, 1.05)
        depth *= rng.uniform(0.97, 1.03)
        dish = -rng.uniform(0.4, 1.0) if name in DISCS else rng.uniform(0.4, 1.0)
        parts[name] = Part(name, top, top + height * scale, depth * scale, width * scale, dish)
        top += height * scale
    return parts


def _sample_curve(rng: np.random.Generator, parts: dict[str, Part]) -> SpinalCurve:
    bottom, top = parts["S"].low - 40.0, parts["T9"].high + 60.0  # prolonged, so that the edges of the view are covered
    lordosis, kyphosis = rng.uniform(0.75, 1.1), rng.uniform(0.7, 1.3)
    ways = [bottom, parts["S"].low, 0.0, parts["L3"].middle, parts["L1"].high, parts["T9"].high, top]
    degrees = np.array([-66, -62, -34, 0, 14, 0, -12], dtype=float)
    degrees[:5] *= lordosis
    degrees[5:] *= kyphosis
    degrees[:3] = np.maximum(degrees[:3], [-72, -68, -60])
    s = np.arange(bottom, top, _CURVE_STEP)
    tilt = np.deg2rad(PchipInterpolator(ways, degrees)(s) + rng.uniform(-3, 3))
    points = np.cumsum(np.stack([np.sin(tilt), np.cos(tilt)], axis=1), axis=0) * _CURVE_STEP
    column = points[(s >= parts["S"].low) & (s <= parts["T9"].high)]
    shift = np.array([column[:, 0].mean(), 0.5 * (column[0, 1] + column[-1, 1])])
    lateral = rng.uniform(0, 3) * np.sin(2 * np.pi * (s / rng.uniform(250, 400) + rng.uniform()))
    return SpinalCurve(s=s, points=points - shift, tilt=tilt, lateral=lateral)
