"""The label maps as data: what holds for every one of them, and the published codes."""

from __future__ import annotations

import numpy as np
import pytest

from nnunet_textguided.dataset_conversion.base.codes import map_codes
from nnunet_textguided.dataset_conversion.label_maps.from_json import OUR_NAMES
from nnunet_textguided.dataset_conversion.label_maps.label_map import TRANSITIONAL, LabelMap
from nnunet_textguided.dataset_conversion.label_maps.levels import check_lumbar, level_warnings
from nnunet_textguided.dataset_conversion.label_maps.registry import LABEL_MAPS, label_map
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import spine_labels
from nnunet_textguided.dataset_conversion.label_maps.table import build_table
from nnunet_textguided.errors import UserError
from nnunet_textguided.spine import SPINE_STRUCTURES

every_map = pytest.mark.parametrize("source", LABEL_MAPS.values(), ids=LABEL_MAPS)


@every_map
def test_names_are_known_and_codes_are_either_ours_or_background(source: LabelMap) -> None:
    assert set(source.written_codes()) <= set(OUR_NAMES)
    assert not set(source.codes) & set(source.background)
    assert all(0 < code <= 255 for code in (*source.codes, *source.background))
    assert all(code in source.codes for variant in source.variants for code in variant.codes)
    assert source.licence


@every_map
def test_what_a_tool_has_comes_back_unchanged(source: LabelMap) -> None:
    ours = spine_labels()
    own = LabelMap("textguided", {code: name for name, code in ours.items() if code})
    there = build_table(own, source.written_codes()).codes
    back = build_table(source, ours).codes
    held = [name for name in SPINE_STRUCTURES if name not in source.missing]
    assert {name: back[there[ours[name]]] for name in held} == {name: ours[name] for name in held}
    assert all(there[ours[name]] == 0 for name in source.missing)
    assert len({there[ours[name]] for name in held}) == len(held)


# Tables of ../shared/reference/datasets.md section 2, and tss_map.json.
PUBLISHED = {
    "spineps": {26: 1, 24: 2, 23: 3, 20: 6, 19: 7, 16: 10, 124: 11, 123: 12, 120: 15, 119: 16, 118: 17, 116: 19},
    "totalspineseg": {50: 1, 45: 2, 41: 6, 32: 7, 29: 10, 100: 11, 95: 12, 92: 15, 91: 16, 82: 17, 81: 18, 80: 19},
    "spider": {1: 2, 9: 10, 201: 11, 209: 19, 101: 2},
    "dgmsnet": {1: 6, 5: 2, 6: 15, 10: 11},
    "mrspineseg": {1: 1, 2: 2, 10: 10, 11: 11, 19: 19},
}
BACKGROUND = {
    "spineps": [1, 8, 15, 101, 115, 126, 201, 216, 226, 228],
    "totalspineseg": [1, 2, 11, 17, 21, 28, 63, 67, 71, 79],
    "spider": [10, 25, 100, 110, 210, 225],
}
TRANSITIONAL_CODES = {"spineps": [25, 28, 125, 128], "totalspineseg": [46, 47, 96]}


@every_map
def test_published_codes_become_the_shared_ones(source: LabelMap) -> None:
    table = build_table(source, spine_labels())
    expected = PUBLISHED[source.name] | dict.fromkeys(BACKGROUND.get(source.name, []), 0)
    assert {code: table.codes[code] for code in expected} == expected
    assert sorted(table.undecided) == TRANSITIONAL_CODES.get(source.name, [])


def test_what_a_source_never_annotates_is_known() -> None:
    assert label_map("spider").missing == ("S",)
    assert label_map("dgmsnet").missing == (
        *("S", "T12", "T11", "T10", "T9"),
        *("T12/L1", "T11/T12", "T10/T11", "T9/T10"),
    )
    assert {label_map(name).missing for name in ("spineps", "totalspineseg", "mrspineseg")} == {()}


def test_an_unknown_map_is_refused_with_the_list() -> None:
    with pytest.raises(UserError, match=r"'spinps' is not a known label map.*spineps, totalspineseg"):
        label_map("spinps")


def discs(name: str, codes: list[int]) -> dict[int, str]:
    """The discs and extra vertebrae of a mask that holds these codes."""
    names = label_map(name).names_in(codes)
    return {code: names[code] for code in codes if "/" in names[code] or names[code] in TRANSITIONAL}


@pytest.mark.parametrize(
    ("name", "codes", "expected"),
    [
        ("spineps", [23, 24, 26, 123, 124], {123: "L4/L5", 124: "L5/S"}),
        ("spineps", [24, 25, 26, 124, 125], {25: "L6", 124: "L5/L6", 125: "L6/S"}),
        ("spineps", [22, 23, 26, 122, 123], {122: "L3/L4", 123: "L4/S"}),
        ("spineps", [22, 23, 123], {123: "L4/L5"}),
        ("spineps", [23, 25, 26, 123], {25: "L6", 123: "L4/L5"}),
        ("spineps", [19, 28, 20, 119, 128], {28: "T13", 119: "T12/T13", 128: "T13/L1"}),
        ("spineps", [18, 20, 118], {118: "T11/L1"}),
        ("spineps", [18, 19, 20, 118, 119], {118: "T11/T12", 119: "T12/L1"}),
        ("totalspineseg", [44, 45, 50, 95, 100], {95: "L4/L5", 100: "L5/S"}),
        ("totalspineseg", [45, 46, 50, 95, 96, 100], {46: "L6", 95: "L4/L5", 96: "L5/L6", 100: "L6/S"}),
        ("totalspineseg", [46, 47, 50, 100], {46: "L6", 47: "L7", 100: "L7/S"}),
        ("totalspineseg", [44, 50, 94, 100], {94: "L3/L4", 100: "L4/S"}),
        ("totalspineseg", [31, 41, 91], {91: "T11/L1"}),
    ],
)
def test_a_disc_is_named_by_the_vertebrae_that_are_there(name: str, codes: list[int], expected: dict[int, str]) -> None:
    assert discs(name, codes) == expected


def test_missing_levels_are_noticed_and_optional_ones_are_not() -> None:
    assert level_warnings(["T11", "T12", "L1", "L2", "L3", "L4", "L5", "S", "L5/S"]) == []
    assert level_warnings(["T12", "T13", "L1"]) == level_warnings(["L5", "L6", "S"]) == []
    assert [text.split(" (")[0] for text in level_warnings(["T12", "L2", "L4", "S"])] == [
        "levels are not contiguous: L1 missing between T12 and L2",
        "levels are not contiguous: L3 missing between L2 and L4",
        "levels are not contiguous: L5 missing between L4 and S",
    ]


def test_a_sacrum_without_lumbar_vertebrae_is_refused() -> None:
    check_lumbar(["S", "L4"])
    check_lumbar(["S"])
    check_lumbar(["T9", "T10"])
    with pytest.raises(UserError, match="sacrum lies next to T1,"):
        check_lumbar(["C7", "T1", "S"])


def test_map_codes_widens_where_a_target_needs_it() -> None:
    codes = np.array([0, 3])
    assert map_codes(codes, {0: 0, 3: 255})[0].dtype == np.uint8
    wide, _ = map_codes(codes, {0: 0, 3: 300})
    assert (wide.dtype, wide.tolist()) == (np.uint16, [0, 300])
