"""The columns of 32 people: true names stay, torn ones are mended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.label_maps.spider import SPIDER
from nnunet_textguided.inference.name_order import Column, names_in_order
from nnunet_textguided.spine import SPINE_VERTEBRAE

LABELS = {name: code for code, name in SPIDER.codes.items() if code < 100 or code > 200}
COLUMN = Column.of_labels(LABELS)


@pytest.fixture
def masks(real_data: Path) -> list[Path]:
    return sorted((real_data / "spider_mini" / "masks").glob("*.mha"))


def read(file: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    image = sitk.ReadImage(str(file))
    return sitk.GetArrayFromImage(image), image.GetSpacing()[::-1]


def test_true_names_stay(masks: list[Path]):
    assert len(masks) == 32
    for file in masks:
        truth, spacing = read(file)
        right = names_in_order(truth, spacing, COLUMN)
        assert (right != truth).sum() < 0.003 * np.isin(truth, list(LABELS.values())).sum(), file.name


@pytest.mark.parametrize("names", [("L4",), ("L4", "L3"), ("L2", "L1")])
def test_torn_vertebrae_are_mended(masks: list[Path], names: tuple[str, ...]):
    for file in masks:
        truth, spacing = read(file)
        wrong = torn(truth, spacing, names)
        right = names_in_order(wrong, spacing, COLUMN)
        own = np.isin(truth, [LABELS[name] for name in names])
        before, after = ((labels[own] != truth[own]).mean() for labels in (wrong, right))
        assert before > 0.2, file.name
        assert after < before, file.name
        rest = ~own & np.isin(truth, list(LABELS.values()))
        assert (right[rest] != truth[rest]).mean() < 0.01, file.name


def torn(truth: np.ndarray, spacing: tuple[float, ...], names: tuple[str, ...]) -> np.ndarray:
    """The upper 55 % of each of these vertebrae called as the next one."""
    wrong = truth.copy()
    lower, upper = (np.argwhere(truth == LABELS[name]).mean(0) * spacing for name in ("L4", "L2"))
    axis = int(np.abs(upper - lower).argmax())
    for name in names:
        voxels = np.argwhere(truth == LABELS[name])
        height = voxels[:, axis] * np.sign(upper - lower)[axis]
        above = voxels[height > np.percentile(height, 45)]
        wrong[tuple(above.T)] = LABELS[SPINE_VERTEBRAE[SPINE_VERTEBRAE.index(name) + 1]]
    return wrong
