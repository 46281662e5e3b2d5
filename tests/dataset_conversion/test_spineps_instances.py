"""Counting SPINEPS's instances from below."""

from __future__ import annotations

import pytest

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.label_maps.spineps_instances import instance_map


def spine(numbers: list[int], sacrum: int | None = 26, discs: bool = True) -> dict[int, float]:
    """Heights of vertebrae 30 mm apart, given from the head down, each with its disc below, on a sacrum at 0 mm."""
    heights = {} if sacrum is None else {sacrum: 0.0}
    for place, number in enumerate(reversed(numbers), start=1):
        heights[number] = 30.0 * place
        if discs:
            heights[100 + number] = 30.0 * place - 15
            heights[200 + number] = 30.0 * place - 13
    return heights


def names(heights: dict[int, float], **kwargs: object) -> dict[int, str]:
    label_map, warnings = instance_map(heights, **kwargs)
    assert warnings == []
    assert set(heights) <= set(label_map.codes) | set(label_map.background)
    return {code: name for code, name in label_map.codes.items() if code in heights}


def test_the_vertebra_on_the_sacrum_is_l5() -> None:
    assert names(spine([3, 4, 5])) == {
        **{26: "S", 5: "L5", 4: "L4", 3: "L3"},
        **{105: "L5/S", 104: "L4/L5", 103: "L3/L4"},
    }


def test_position_decides_not_the_number() -> None:
    assert names(spine([9, 2, 5])) == {
        **{26: "S", 5: "L5", 2: "L4", 9: "L3"},
        **{105: "L5/S", 102: "L4/L5", 109: "L3/L4"},
    }


def test_a_disc_above_the_topmost_vertebra_is_named_too() -> None:
    heights = spine([3, 4]) | {102: 80.0}
    assert names(heights)[102] == "L3/L4"


def test_what_lies_above_t9_is_background() -> None:
    heights = spine(list(range(1, 12)))
    found = names(heights)
    assert (found[3], found[103]) == ("T9", "T9/T10")
    assert not {1, 2, 101, 102} & set(found)


@pytest.mark.parametrize(
    ("lowest", "sacrum", "expected"),
    [
        ("L3", None, {5: "L3", 4: "L2", 105: "L3/L4", 104: "L2/L3"}),
        ("T12", None, {5: "T12", 4: "T11", 105: "T12/L1", 104: "T11/T12"}),
        ("L5", None, {5: "L5", 4: "L4", 105: "L5/S", 104: "L4/L5"}),
        ("L6", 26, {26: "S", 5: "L6", 4: "L5", 105: "L6/S", 104: "L5/L6"}),
        ("L4", 26, {26: "S", 5: "L4", 4: "L3", 105: "L4/S", 104: "L3/L4"}),
    ],
)
def test_the_lowest_level_can_be_given(lowest: str, sacrum: int | None, expected: dict[int, str]) -> None:
    assert names(spine([4, 5], sacrum), lowest=lowest) == expected


@pytest.mark.parametrize("code", [27, 25])
def test_another_code_can_be_the_sacrum(code: int) -> None:
    found = names(spine([4, 5], sacrum=code), sacrum=(26, code))
    assert (found[code], found[5], found[105]) == ("S", "L5", "L5/S")


@pytest.mark.parametrize(
    ("heights", "lowest", "message"),
    [
        ({26: 0.0, 49: 30.0, 100: 15.0}, None, "no vertebra instance.*seg-vert"),
        (spine([3, 4], sacrum=None), None, "no sacrum.*--lowest L5.*--map 27=S"),
        (spine([3, 4]) | {26: 45.0}, None, r"sacrum \(code 26\) does not lie below vertebra 4.*orientation"),
        (spine([3, 4]), "L2", "one of L4, L5, L6, not L2"),
        (spine(list(range(1, 26))), None, "25 vertebrae, but from L5 upwards there are 24"),
        (spine([3, 4]) | {109: 45.0}, None, "disc 109 has no vertebra 9 above it"),
    ],
)
def test_what_cannot_be_counted_is_refused(heights: dict[int, float], lowest: str | None, message: str) -> None:
    with pytest.raises(CaseError, match=message):
        instance_map(heights, lowest)


def test_a_gap_that_could_hide_a_vertebra_is_pointed_out() -> None:
    heights = {26: 0.0, 5: 30.0, 4: 60.0, 3: 120.0, 2: 150.0}
    _, warnings = instance_map(heights)
    assert len(warnings) == 1
    assert warnings[0].startswith("codes 4 and 3 lie 60 mm apart, others 30 mm")
