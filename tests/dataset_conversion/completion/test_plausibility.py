"""Plausibility of masks on small spines of boxes: a body and a process behind it, a disc on top, from below upwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.base.geometry import read_mask, to_canonical
from nnunet_textguided.dataset_conversion.completion.levels import missing_levels, spinal_levels
from nnunet_textguided.dataset_conversion.completion.measures import Measure, measure_structures
from nnunet_textguided.dataset_conversion.completion.plausibility import find_doubts, score
from nnunet_textguided.dataset_conversion.completion.ranges import Usual, what_is_usual
from nnunet_textguided.inference.reorient import reorient_array, reorient_spacing
from nnunet_textguided.spine import SPINE_STRUCTURES

NAMES = dict(enumerate(SPINE_STRUCTURES, start=1))
CODES = {name: code for code, name in NAMES.items()}
UPWARDS = ("S", "L5/S", "L5", "L4/L5", "L4", "L3/L4", "L3", "L2/L3", "L2")
SPACING = (4.0, 1.0, 1.0)  # mm along slices (to the right), rows (to the feet), columns (to the back)
PIR = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def spine(scale: int = 10, room: int = 3) -> np.ndarray:
    """Sagittal slices (8, H, 60), head first; each vertebra `scale` rows high, each disc 4, `room` free at the ends."""
    heights = [4 if "/" in name else scale for name in UPWARDS]
    labels = np.zeros((8, sum(heights) + 2 * room, 60), np.uint8)
    row = labels.shape[1] - room
    for name, height in zip(UPWARDS, heights, strict=True):
        labels[1:7, row - height : row, 10:34] = CODES[name]
        if "/" not in name:
            labels[3:5, row - height + 2 : row - 2, 44:54] = CODES[name]  # spinous process: apart in these slices
        row -= height
    return labels


def measured(labels: np.ndarray) -> dict[str, Measure]:
    return measure_structures(labels, NAMES, SPACING, PIR)


def doubts_of(labels: np.ndarray, usual: Usual | None = None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for doubt in find_doubts(measured(labels), NAMES.values(), usual):
        found.setdefault(doubt.check, []).append(doubt.reason)
    return found


@pytest.fixture
def usual() -> Usual:
    """Of seven spines, vertebrae 9 to 12 rows high."""
    return what_is_usual([measured(spine(scale)) for scale in (9, 10, 10, 11, 11, 12, 12)])


def swapped(labels: np.ndarray, first: str, second: str) -> np.ndarray:
    turned = labels.copy()
    turned[labels == CODES[first]], turned[labels == CODES[second]] = CODES[second], CODES[first]
    return turned


def test_measures_are_those_of_the_boxes():
    measure = measured(spine())["L4"]
    assert measure.volume_ml == pytest.approx((6 * 10 * 24 + 2 * 6 * 10) * 4 / 1000)
    assert measure.pieces == 2
    assert measure.share == 1.0  # the spinous process belongs to the body
    assert measure.width_mm == 24.0
    assert not measure.cut_off
    heights = [measured(spine())[name].height_mm for name in UPWARDS]
    assert np.diff(heights) == pytest.approx([7.0] * 8)  # half a vertebra (10 mm) and half a disc (4 mm)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR", "SLA"])
def test_measures_do_not_depend_on_the_orientation_of_the_array(orientation):
    labels = reorient_array(spine(), "PIR", orientation)
    spacing = tuple(reorient_spacing(SPACING, "PIR", orientation))
    direction = sitk.DICOMOrientImageFilter.GetDirectionCosinesFromOrientation(orientation)
    turned, expected = measure_structures(labels, NAMES, spacing, direction), measured(spine())
    assert turned.keys() == expected.keys()
    base = turned["S"].height_mm - expected["S"].height_mm
    for name, measure in expected.items():
        assert turned[name].height_mm - base == pytest.approx(measure.height_mm)
        assert turned[name].volume_ml == pytest.approx(measure.volume_ml)
        assert turned[name].width_mm == pytest.approx(measure.width_mm)
        assert turned[name].share == 1.0


def test_a_spine_in_order_has_no_doubts(usual):
    assert doubts_of(spine(), usual) == {}
    assert doubts_of(spine()) == {}


def test_swapped_levels_are_out_of_order(usual):
    found = doubts_of(swapped(spine(), "L4", "L3"), usual)
    assert set(found) == {"order"}
    assert "L3/L4 must lie above L4, but its centre is 7 mm lower" in found["order"]
    assert "L3 must lie above L3/L4, but its centre is 7 mm lower" in found["order"]


def test_a_mask_upside_down_is_out_of_order_everywhere():
    assert len(doubts_of(spine()[:, ::-1])["order"]) == len(UPWARDS) - 1


@pytest.mark.parametrize("lost", ["L4", "L3/L4"])
def test_a_level_missing_between_two_others_is_a_gap(lost, usual):
    labels = spine()
    labels[labels == CODES[lost]] = 0
    found = doubts_of(labels, usual)
    assert found == {"gap": [f"{lost} is missing between S and L2, which are there"]}


def test_levels_missing_at_the_ends_are_no_gap_but_unusual(usual):
    labels = spine()
    labels[np.isin(labels, [CODES["S"], CODES["L5/S"]])] = 0
    assert doubts_of(labels) == {}
    assert doubts_of(labels, usual)["missing"] == [
        "S is missing, which 7 of 7 masks have",
        "L5/S is missing, which 7 of 7 masks have",
    ]


def test_a_piece_far_away_is_stray(usual):
    labels = spine()
    labels[1:7, 0:2, 10:20] = CODES["L5"]
    found = doubts_of(labels, usual)
    assert set(found) == {"pieces"}
    assert found["pieces"][0].startswith("L5 is in 3 pieces: 93% of it belong together (expected at least 97%)")
    assert measured(labels)["L5"].share == pytest.approx(1560 / 1680)


def test_a_speck_is_let_through_and_what_lies_behind_a_disc_is_not():
    labels = spine()
    labels[4, 0, 0] = CODES["L5"]
    assert doubts_of(labels) == {}
    rows = np.flatnonzero((labels == CODES["L4/L5"]).any(axis=(0, 2)))
    labels[3:5, rows, 44:54] = CODES["L4/L5"]
    assert set(doubts_of(labels)) == {"pieces"}


def test_a_tiny_volume_is_doubtful_unless_the_image_cuts_the_structure_off(usual):
    labels = spine()
    rows = np.flatnonzero((labels == CODES["L2"]).any(axis=(0, 2)))
    part = labels[:, rows[:-2]]
    part[part == CODES["L2"]] = 0
    labels[:, rows[:-2]] = part
    found = doubts_of(labels, usual)
    assert set(found) == {"volume", "neighbours"}
    assert found["volume"][0].startswith("L2 has 1.15 ml; usual are 3.")
    assert doubts_of(labels[:, rows[-2] :], usual) == {}


def test_a_huge_volume_is_doubtful_also_at_the_edge(usual):
    labels = np.pad(spine(), ((0, 0), (20, 0), (0, 0)))
    labels[1:7, :26, 10:34] = CODES["L2"]
    assert "volume" in doubts_of(labels, usual)


def test_a_level_on_few_slices_is_too_narrow():
    labels = spine()
    labels[3:7][labels[3:7] == CODES["L3/L4"]] = 0
    assert doubts_of(labels)["width"] == ["L3/L4 is 8 mm wide from left to right; the median of this case is 24 mm"]


def test_an_empty_mask_is_the_most_doubtful(usual):
    empty = find_doubts({}, NAMES.values(), usual)
    out_of_order = find_doubts(measured(swapped(spine(), "L5", "L4/L5")), NAMES.values(), usual)
    assert [doubt.check for doubt in empty] == ["nothing"]
    assert score(empty) >= score(out_of_order) > score([]) == 0


def test_fewer_than_five_masks_say_nothing_about_volumes():
    few = what_is_usual([measured(spine())] * 4)
    assert few.ranges == {}
    assert few.regular == {}


def test_a_wrong_mask_among_many_does_not_widen_the_range(usual):
    wrong = spine()
    wrong[:, :, 34:] = CODES["L4"]
    with_wrong = what_is_usual([measured(spine(scale)) for scale in (9, 10, 10, 11, 11, 12, 12)] + [measured(wrong)])
    assert with_wrong.ranges["L4"].highest_ml < 1.5 * usual.ranges["L4"].highest_ml


def test_structures_that_the_image_cuts_off_do_not_count_for_the_range():
    spines = [measured(spine()[:, 8:]) for _ in range(6)]
    assert spines[0]["L2"].cut_off
    usual = what_is_usual(spines)
    assert "L2" not in usual.ranges
    assert usual.ranges["L3"].masks == usual.regular["L2"] == 6


def test_other_data_sets_are_checked_for_pieces_and_volumes_only():
    names = {1: "Anterior", 2: "Posterior"}
    labels = np.zeros((6, 10, 10), np.uint8)
    labels[1:5, 6:9, 2:8] = 1
    labels[1:5, 2:5, 2:8] = 2
    whole = measure_structures(labels, names, (1.0, 1.0, 1.0), PIR)
    usual = what_is_usual([whole] * 5)
    assert find_doubts(whole, names.values(), usual) == []
    parted = labels.copy()
    parted[:, 3] = 0
    parted[:, :, 4:6] = np.where(parted[:, :, 4:6] == 1, 0, parted[:, :, 4:6])
    found = find_doubts(measure_structures(parted, names, (1.0, 1.0, 1.0), PIR), names.values(), usual)
    assert {doubt.check for doubt in found} == {"pieces"}
    assert len(found) == 2


def test_levels_of_a_data_set_run_upwards_and_other_names_have_none():
    assert spinal_levels(["L4", "canal", "S", "L4/L5", "L5", "L5/S"]) == ["S", "L5/S", "L5", "L4/L5", "L4"]
    assert spinal_levels(["S", "T"]) == []
    assert spinal_levels(["Anterior", "Posterior", "left/right"]) == []


@pytest.mark.parametrize(
    ("extra", "present", "missing"),
    [
        (["L6", "L5/L6", "L6/S"], ["S", "L6/S", "L6", "L5/L6", "L5"], []),
        (["L6", "L5/L6", "L6/S"], ["S", "L5/S", "L5"], []),
        (["L6", "L5/L6", "L6/S"], ["S", "L6", "L5/L6", "L5"], ["L6/S"]),
        (["L4/S"], ["S", "L4/S", "L4"], []),
        ([], ["S", "L4"], ["L5/S", "L5", "L4/L5"]),
        ([], ["T11", "T12/L1"], ["T12", "T11/T12"]),
        ([], ["L3"], []),
        ([], [], []),
    ],
)
def test_transitional_spines_have_no_false_gaps(extra, present, missing):
    assert missing_levels([*SPINE_STRUCTURES, *extra], present) == missing


def test_a_real_whole_spine_is_plausible_and_wrong_once_two_levels_are_swapped(real_data: Path):
    mask = to_canonical(read_mask(real_data / "spineps_masks" / "unmatched_instance" / "ref.nii.gz"))
    source = sitk.GetArrayViewFromImage(mask)
    # instances from above: vertebra v, and disc 100 + v below it; the lowest vertebra, 8, is L5
    above = ("T11", "T12", "L1", "L2", "L3", "L4", "L5")
    below = (*above[1:], "S")
    labels = np.zeros(source.shape, np.uint8)
    labels[source == 26] = CODES["S"]
    for number, (upper, lower) in enumerate(zip(above, below, strict=True), start=2):
        labels[source == number] = CODES[upper]
        labels[source == 100 + number] = CODES[f"{upper}/{lower}"]
    spacing, direction = mask.GetSpacing()[::-1], mask.GetDirection()

    def found(array: np.ndarray) -> set[str]:
        measures = measure_structures(array, NAMES, spacing, direction)
        return {doubt.check for doubt in find_doubts(measures, NAMES.values())}

    assert found(labels) == set()
    assert "order" in found(swapped(labels, "L3", "L4"))
