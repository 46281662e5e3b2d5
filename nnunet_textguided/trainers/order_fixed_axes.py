"""The flip rule: along which axes does the order of the structures carry their names?

Vertebrae are told apart by their order along the spine, so an image flipped along it has the right look and
wrong labels. Such an axis is found in the labels themselves, for any anatomy: two classes whose centroids come in
the same order along the axis in nearly every case.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

log = logging.getLogger(__name__)

MIN_CASES = 10
"""Fewer cases that hold both classes say nothing about their order."""
MIN_AGREEMENT = 0.95
"""Share of these cases in which the order has to be the same."""
MIN_GAP = 0.05
"""Smallest median distance of the two centroids, as a share of the axis."""


def order_fixed_axes(centroids: np.ndarray) -> tuple[int, ...]:
    """Find the axes along which at least one pair of classes has a fixed order.

    Args:
        centroids: (cases, classes, axes), each centroid as a share (0..1) of its axis; NaN where a case lacks a class.

    Returns:
        The order-fixed axes, ascending.

    Raises:
        ValueError: `centroids` is not three-dimensional.
    """
    if centroids.ndim != 3:
        raise ValueError(f"Expected centroids of shape (cases, classes, axes), got {centroids.shape}.")
    fixed: set[int] = set()
    for first in range(centroids.shape[1] - 1):
        difference = centroids[:, first + 1 :] - centroids[:, first : first + 1]  # (cases, later classes, axes)
        n_cases = np.isfinite(difference).sum(0)
        enough = n_cases >= MIN_CASES
        if not enough.any():
            continue
        n_same = np.maximum((difference > 0).sum(0), (difference < 0).sum(0))
        with np.errstate(invalid="ignore"):
            gap = np.nan_to_num(_nanmedian(np.abs(difference)))
        ordered = enough & (n_same >= MIN_AGREEMENT * n_cases) & (gap >= MIN_GAP)
        fixed.update(int(axis) for axis in np.flatnonzero(ordered.any(0)))
    return tuple(sorted(fixed))


def _nanmedian(values: np.ndarray) -> np.ndarray:
    """Median over axis 0 without a warning where all values are NaN."""
    empty = ~np.isfinite(values).any(0)
    return np.nanmedian(np.where(empty, 0.0, values), axis=0)


def class_centroids(cases: Sequence[tuple[Mapping, Sequence[int]]], labels: Sequence[int]) -> np.ndarray:
    """Collect the centroids of all classes from what nnU-Net's preprocessing sampled.

    Args:
        cases: For each case its `class_locations` (label -> (n, 1 + axes) voxel indices; column 0 is the channel)
            and the spatial shape of the preprocessed image in voxels.
        labels: The labels to look at.

    Returns:
        (cases, classes, axes) shares of the axis, NaN where a case lacks the class.
    """
    n_axes = len(cases[0][1]) if cases else 3
    centroids = np.full((len(cases), len(labels), n_axes), np.nan)
    for row, (locations, shape) in enumerate(cases):
        for column, label in enumerate(labels):
            voxels = np.asarray(locations.get(label, ()))
            if len(voxels):
                centroids[row, column] = (voxels[:, 1:].mean(0) + 0.5) / np.asarray(shape)
    return centroids


def order_fixed_axes_of_folder(preprocessed_folder: str, labels: Sequence[int]) -> tuple[int, ...]:
    """Apply the rule to all preprocessed cases of one configuration.

    Args:
        preprocessed_folder: A folder such as `nnUNet_preprocessed/Dataset501_SPIDER/nnUNetPlans_2d`.
        labels: Foreground labels.

    Returns:
        The order-fixed axes of the three-dimensional preprocessed arrays. nnU-Net keeps three axes for its 2d
        configuration too and slices along the first.
    """
    from nnunetv2.training.dataloading.nnunet_dataset import infer_dataset_class

    dataset_class = infer_dataset_class(preprocessed_folder)
    identifiers = dataset_class.get_identifiers(preprocessed_folder)
    dataset = dataset_class(preprocessed_folder, identifiers)
    cases = []
    for identifier in identifiers:
        data, _, _, properties = dataset.load_case(identifier)
        cases.append((properties["class_locations"], data.shape[1:]))
    masked = sum(any(len(locations.get(label, ())) for label in labels) for locations, _ in cases)
    if masked < MIN_CASES:
        log.warning(
            "%s holds %d masks; the order of structures is judged from %d cases on, so no axis counts as order-fixed. "
            "Set the axes by hand: nnunet_textguided plan --mirror-axes ...",
            preprocessed_folder,
            masked,
            MIN_CASES,
        )
    return order_fixed_axes(class_centroids(cases, labels))
