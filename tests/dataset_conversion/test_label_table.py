"""The user's choices: canal, transitional anatomy, single codes."""

from __future__ import annotations

import pytest

from nnunet_textguided.dataset_conversion.label_maps.label_map import LabelMap
from nnunet_textguided.dataset_conversion.label_maps.registry import label_map
from nnunet_textguided.dataset_conversion.label_maps.table import Choices, build_table, shared_labels

SPINEPS = label_map("spineps")
SIX_LUMBAR = [23, 24, 25, 26, 123, 124, 125]


def become(choices: Choices, present: list[int], source: LabelMap = SPINEPS) -> dict[int, str | None]:
    """The name of what each present code becomes; None where it is undecided."""
    labels = shared_labels(source, choices)
    names = {code: name for name, code in labels.items()}
    table = build_table(source, labels, choices, present)
    return {code: names[table.codes[code]] if code in table.codes else None for code in present}


def test_transitional_levels_are_left_undecided() -> None:
    found = become(Choices(), SIX_LUMBAR)
    assert [code for code, name in found.items() if name is None] == [25, 124, 125]
    assert (found[24], found[123], found[26]) == ("L5", "L4/L5", "S")


def test_kept_levels_get_labels_after_the_shared_ones_whatever_the_mask_holds() -> None:
    labels = shared_labels(SPINEPS, Choices(transitional="keep"))
    assert list(labels.values()) == list(range(len(labels)))
    assert list(labels)[20:] == ["L6", "T13", "L5/L6", "L6/S", "L4/S", "T12/T13", "T13/L1", "T11/L1"]
    found = become(Choices(transitional="keep"), SIX_LUMBAR)
    assert (found[25], found[124], found[125], found[24]) == ("L6", "L5/L6", "L6/S", "L5")


def test_kept_labels_follow_the_canal_and_precede_the_ignore_label() -> None:
    choices = Choices(canal=True, transitional="keep", codes={0: "ignore"})
    labels = shared_labels(label_map("totalspineseg"), choices)
    assert (labels["canal"], labels["L6"]) == (20, 21)
    assert labels["ignore"] == max(labels.values()) == len(labels) - 1


@pytest.mark.parametrize("choice", ["ignore", "background"])
def test_transitional_levels_can_be_ignored_or_left_out(choice: str) -> None:
    found = become(Choices(transitional=choice), SIX_LUMBAR)
    assert {found[25], found[124], found[125]} == {choice}
    assert (found[24], found[123]) == ("L5", "L4/L5")


def test_a_choice_decides_its_own_code_only_and_comes_last() -> None:
    found = become(Choices(codes={25: "S", 24: "L4"}), SIX_LUMBAR)
    assert (found[25], found[24], found[23]) == ("S", "L4", "L4")
    assert found[124] is found[125] is None
    assert become(Choices(transitional="ignore", codes={25: "L5"}), [25, 125]) == {25: "L5", 125: "ignore"}


def test_a_chosen_transitional_name_becomes_a_label() -> None:
    choices = Choices(codes={25: "L6"})
    assert shared_labels(SPINEPS, choices)["L6"] == 20
    assert become(choices, [24, 25]) == {24: "L5", 25: "L6"}


def test_canal_is_kept_on_request_only_and_holds_the_cord() -> None:
    source = label_map("totalspineseg")
    assert become(Choices(), [1, 2, 45], source) == {1: "background", 2: "background", 45: "L5"}
    assert become(Choices(canal=True), [1, 2, 45], source) == {1: "canal", 2: "canal", 45: "L5"}
    assert build_table(source, shared_labels(source, Choices())).dropped == {}


def test_what_another_tool_lacks_is_dropped_by_name() -> None:
    labels = label_map("dgmsnet").written_codes()
    table = build_table(label_map("totalspineseg"), labels, Choices(canal=True), [2, 50, 45])
    assert table.codes[45] == 5
    assert {code: table.dropped[code] for code in (2, 50, 32)} == {2: "canal", 50: "S", 32: "T12"}
    assert table.codes[50] == 0


def test_transitional_levels_pass_between_tools_that_both_have_them() -> None:
    table = build_table(
        label_map("totalspineseg"), SPINEPS.written_codes(), Choices(canal=True), [45, 46, 50, 95, 96, 100]
    )
    assert {code: table.codes[code] for code in (45, 46, 50, 95, 96, 100)} == {
        **{45: 24, 46: 25, 50: 26},
        **{95: 123, 96: 124, 100: 125},
    }
    assert table.undecided == {47: "L7"}
