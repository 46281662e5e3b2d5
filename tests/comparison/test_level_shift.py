"""By how many levels names are shifted: known shifts, majorities and their limits."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from toy_column import CODES, NAMES, column, renamed

from nnunet_textguided.comparison.level_shift import level_shift, share_shifted
from nnunet_textguided.errors import UserError
from nnunet_textguided.spine import SPINE_DISCS, SPINE_VERTEBRAE
from nnunet_textguided.text.spine_parts import spine_parts


def only(labels, *names):
    return np.where(np.isin(labels, [CODES[name] for name in names]), labels, 0)


def with_renamed(labels, names):
    """Labels in which the structures on the left bear the names on the right."""
    found = labels.copy()
    for true, called in names.items():
        found[labels == CODES[true]] = CODES[called]
    return found


@pytest.mark.parametrize("levels", [-3, -1, 0, 1, 2])
def test_a_renamed_column_is_found(levels):
    assert level_shift(column("S", "T9"), renamed(column("S", "T9"), levels), NAMES) == levels


def test_l5_called_l4_is_one_up():
    truth = only(column(), "L5", "L4", "L5/S")
    assert level_shift(truth, with_renamed(truth, {"L5": "L4", "L4": "L3", "L5/S": "L4/L5"}), NAMES) == 1


def test_structures_that_were_missed_do_not_vote():
    prediction = only(renamed(column(), 1), "L3", "L2", "L2/L3")
    assert level_shift(column(), prediction, NAMES) == 1


@pytest.mark.parametrize(("wrong", "expected"), [(1, 0.0), (2, math.nan), (3, 1.0)])
def test_more_than_half_must_agree(wrong, expected):
    names = dict(list({"L5": "L4", "L4": "L3", "L3": "L2"}.items())[:wrong])
    truth = only(column(), "L5", "L4", "L3", "L3/L4")
    assert level_shift(truth, with_renamed(truth, names), NAMES) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("structures", [["L3"], ["L3/L4"], ["S"]])
def test_one_structure_alone_is_undecided(structures):
    truth = only(column("S", "T9"), *structures)
    assert math.isnan(level_shift(truth, truth, NAMES))
    assert math.isnan(level_shift(truth, renamed(truth, 1), NAMES))


def test_two_structures_that_agree_decide():
    truth = only(column(), "L3", "L3/L4")
    assert level_shift(truth, renamed(truth, 1), NAMES) == 1


def test_the_sacrum_votes_too():
    truth = only(column("S", "L5"), "S", "L5")
    assert level_shift(truth, renamed(truth, 1), NAMES) == 1


@pytest.mark.parametrize("labels", [np.zeros_like(column()), only(column(), "canal")], ids=["nothing", "canal"])
def test_an_empty_prediction_or_truth_is_undecided(labels):
    assert math.isnan(level_shift(column(), labels, NAMES))
    assert math.isnan(level_shift(labels, column(), NAMES))


def test_stray_voxels_do_not_vote():
    prediction = only(column(), "L5", "L4")
    free = np.argwhere((column() > 0) & (column() < 20) & (prediction == 0))
    for place in free[:: len(free) // 8]:  # single voxels of one wrong name in most of the missed structures
        prediction[tuple(place)] = CODES["T9"]
    assert level_shift(column(), prediction, NAMES) == 0


def test_a_column_upside_down_is_undecided():
    levels = column("L5", "L1")
    back = dict(zip(("L5", "L4", "L3", "L2", "L1"), ("L1", "L2", "L3", "L4", "L5"), strict=True))
    discs = dict(zip(("L4/L5", "L3/L4", "L2/L3", "L1/L2"), ("L1/L2", "L2/L3", "L3/L4", "L4/L5"), strict=True))
    assert math.isnan(level_shift(levels, with_renamed(levels, back | discs), NAMES))


def test_one_label_over_the_whole_column_is_undecided():
    prediction = np.where((column() > 0) & (column() < 20), CODES["L3"], 0)
    assert math.isnan(level_shift(column(), prediction, NAMES))


def test_a_vertebra_taken_for_a_disc_counts_against_every_shift():
    truth = only(column(), "L5", "L4", "L3", "L2")
    prediction = with_renamed(truth, {"L5": "L5/S", "L4": "L4/L5"})
    assert math.isnan(level_shift(truth, prediction, NAMES))
    assert level_shift(truth, with_renamed(truth, {"L5": "L5/S"}), NAMES) == 0


def test_the_order_of_names_and_codes_does_not_matter():
    codes = np.concatenate([[0], np.random.default_rng(1).permutation(np.arange(30, 50))])
    names = {int(codes[code]): name for code, name in reversed(NAMES.items())}
    assert level_shift(codes[column()], codes[renamed(column(), -1)], names) == -1


def test_labels_that_are_no_spine_have_no_shift():
    assert math.isnan(level_shift(column(), column(), {1: "Anterior", 2: "Posterior"}))


def test_what_the_truth_ignores_does_not_vote():
    truth = np.where(np.isin(column(), (CODES["L5"], CODES["L4"])), column(), 50)
    prediction = with_renamed(renamed(column(), 1), {"L4": "L5", "L3": "L4"})
    assert level_shift(truth, prediction, NAMES, ignore_label=50) == 0


def test_masks_of_other_shapes_are_refused():
    with pytest.raises(UserError, match="shape"):
        level_shift(column(), column()[:, 1:], NAMES)


def test_share_is_among_the_decided_cases():
    shifts = pd.DataFrame({"case": list("abcde"), "shift": [0.0, 1.0, math.nan, -2.0, 0.0]})
    assert share_shifted(shifts) == {"share": 0.5, "shifted": 2, "decided": 4, "undecided": 1}


@pytest.mark.parametrize("shifts", [pd.DataFrame(), pd.DataFrame({"case": ["a"], "shift": [math.nan]})])
def test_share_without_a_decided_case_is_undefined(shifts):
    found = share_shifted(shifts)
    assert math.isnan(found.pop("share"))
    assert found == {"shifted": 0, "decided": 0, "undecided": len(shifts)}


def test_places_follow_the_column_and_discs_lie_below_the_vertebra_they_are_counted_by():
    parts = {part.name: part for part in spine_parts(NAMES).values()}
    assert [parts[name].level for name in SPINE_VERTEBRAE] == list(range(10))
    assert [parts[name].level for name in SPINE_DISCS] == list(range(1, 10))
    assert parts["S"].group == "sacrum"
    assert parts["canal"].level is None


def test_other_spellings_and_levels_of_other_data_sets_are_understood():
    parts = spine_parts({5: "vertebrae_L5", 6: "L4/5", 7: "vertebra C3", 8: "L6", 9: "sacrum", 10: "heart"})
    assert {code: (part.group, part.level) for code, part in parts.items()} == {
        5: ("vertebrae", 1),
        6: ("discs", 2),
        7: ("vertebrae", 22),
        8: ("vertebrae", None),
        9: ("sacrum", 0),
    }
