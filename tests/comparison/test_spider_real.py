"""Scores of the real masks of SPIDER against themselves and against renamed copies."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from toy_column import NAMES, renamed

from nnunet_textguided.comparison.level_shift import level_shift, share_shifted
from nnunet_textguided.comparison.spider_score import score_instances, summarise_instances
from nnunet_textguided.dataset_conversion.label_maps.spider import spider_table


@pytest.fixture(scope="module")
def masks(real_data):
    """File name -> label codes (D, H, W) as converted with the canal, and spacing (z, y, x) in mm."""
    table = np.zeros(256, dtype=np.int64)
    for source, target in spider_table(canal=True).items():
        table[source] = target
    found = {}
    for path in sorted((real_data / "spider_mini" / "masks").glob("*.mha")):
        image = sitk.ReadImage(str(path))
        found[path.stem] = table[sitk.GetArrayFromImage(image)], image.GetSpacing()[::-1]
    return found


def test_every_eighth_mask_against_itself_is_perfect(masks):
    rows = [
        row
        for case, (mask, spacing) in list(masks.items())[::8]
        for row in score_instances(case, mask, mask, spacing, NAMES)
    ]
    found = summarise_instances(pd.DataFrame(rows)).set_index("case")
    assert len(found) == 4
    assert (found.filter(regex="^(dice|detection)") == 1).all(axis=None)
    assert (found.filter(regex="^asd") == 0).all(axis=None)


@pytest.mark.parametrize("levels", [0, 1])
def test_names_one_level_off_are_found_in_every_case(masks, levels):
    found = {case: level_shift(mask, renamed(mask, levels), NAMES) for case, (mask, _) in masks.items()}
    assert set(found.values()) == {float(levels)}
    share = share_shifted(pd.DataFrame({"case": list(found), "shift": list(found.values())}))
    assert share == {"share": float(levels != 0), "shifted": 32 * (levels != 0), "decided": 32, "undecided": 0}


def test_masks_moved_by_a_quarter_of_a_level_show_no_shift_of_names(masks):
    for case, (mask, spacing) in list(masks.items())[::8]:
        rows = round(8 / spacing[1])  # about a quarter of a lumbar level (35 to 40 mm)
        shift = level_shift(mask, np.roll(mask, rows, axis=1), NAMES)
        assert shift == 0 or math.isnan(shift), case
