"""A segmentation with its vertebrae and discs renamed so that names keep the order of the column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnunet_textguided.inference.name_order.chain import Named, choose_levels
from nnunet_textguided.inference.name_order.column import LEVELS, Column
from nnunet_textguided.inference.name_order.discs import find_discs
from nnunet_textguided.inference.name_order.regions import Regions, regions_of

TORN = 0.8
"""Share of a body that has its name; below it, names of arches and processes are not believed either."""


def names_in_order(labels: np.ndarray, spacing_mm: Sequence[float], column: Column) -> np.ndarray:
    """Name the vertebrae and discs of a segmentation as one column.

    A network names every voxel for itself and can give one vertebra two names, or two vertebrae one. Here every disc
    gets one name, names rise without a repeat, and bodies are named by the discs above and below. Outlines stay: a
    voxel of a vertebra stays one of a vertebra, of a disc one of a disc; all else is left alone. Arches and processes
    keep their names unless the body of that name was torn.

    Args:
        labels: Codes (D, H, W).
        spacing_mm: (d, h, w).
        column: What the codes mean.

    Returns:
        Codes of the same shape and type; equal to `labels` where there are fewer than three discs.
    """
    discs = find_discs(labels, spacing_mm, column)
    if not discs:
        return labels.copy()
    voxels = np.argwhere(np.isin(labels, list(column.vertebrae)))
    codes = labels[tuple(voxels.T)].astype(np.int64)
    called = column.level_of_code(int(labels.max()))[codes]
    regions = regions_of(voxels, spacing_mm, discs)
    chain = choose_levels(discs, _votes(called, regions, len(discs) + 1), column.discs.values())
    renamed = labels.copy()
    for named in chain:
        renamed[tuple(discs[named.index].voxels.T)] = column.disc_at()[named.level]
    renamed[tuple(voxels.T)] = _vertebra_codes(codes, called, regions, chain, column)
    return renamed


def _votes(called: np.ndarray, regions: Regions, number: int) -> np.ndarray:
    """Voxels of bodies by region and level (number, LEVELS)."""
    cells = regions.below[regions.body] * LEVELS + called[regions.body]
    return np.bincount(cells, minlength=number * LEVELS).reshape(number, LEVELS)


def _vertebra_codes(
    codes: np.ndarray, called: np.ndarray, regions: Regions, chain: Sequence[Named], column: Column
) -> np.ndarray:
    """New codes (V,) of the voxels of vertebrae."""
    kept = np.array([named.index for named in chain])
    levels = np.array([named.level for named in chain])
    between = np.searchsorted(kept, regions.below)  # discs of the chain below a voxel
    lowest, highest = np.append(levels[0] - 1, levels), np.append(levels - 1, levels[-1])
    wanted = np.clip(called, lowest[between], highest[between])
    new = column.vertebra_at()[wanted]
    votes = _votes(called, Regions(between, regions.body), len(chain) + 1)
    whole = np.zeros(LEVELS, bool)
    for region in np.flatnonzero(votes.sum(1)):
        own = slice(lowest[region], highest[region] + 1)
        whole[own] = votes[region, own].sum() >= TORN * votes[region].sum()
    stays = (new == 0) | (~regions.body & whole[called])
    return np.where(stays, codes, new)
