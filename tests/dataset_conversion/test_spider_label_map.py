from __future__ import annotations

import numpy as np
import pytest

from nnunet_textguided.dataset_conversion.base.codes import map_codes
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.label_maps.spider import channel_name, spider_labels, spider_table

# Written out by hand: SPIDER's code, then the structure's name and its MRSpineSeg code.
REFERENCE = {
    1: ("L5", 2), 2: ("L4", 3), 3: ("L3", 4), 4: ("L2", 5), 5: ("L1", 6), 6: ("T12", 7), 7: ("T11", 8),
    8: ("T10", 9), 9: ("T9", 10),
    201: ("L5/S", 11), 202: ("L4/L5", 12), 203: ("L3/L4", 13), 204: ("L2/L3", 14), 205: ("L1/L2", 15),
    206: ("T12/L1", 16), 207: ("T11/T12", 17), 208: ("T10/T11", 18), 209: ("T9/T10", 19),
}  # fmt: skip


@pytest.mark.parametrize("canal", [False, True])
def test_whole_structures_get_the_reference_code_and_its_name(canal: bool) -> None:
    table, labels = spider_table(canal=canal), spider_labels(canal=canal)
    for source, (name, code) in REFERENCE.items():
        assert table[source] == code
        assert labels[name] == code


def test_the_sacrum_is_a_label_that_no_code_maps_to() -> None:
    assert spider_labels()["S"] == 1
    for partial in ("vertebra", "background", "ignore"):
        assert 1 not in spider_table(canal=True, partial=partial, above="ignore").values()


def test_the_canal_is_background_unless_kept() -> None:
    assert spider_table()[100] == 0
    assert "canal" not in spider_labels()
    assert spider_table(canal=True)[100] == 20 == spider_labels(canal=True)["canal"]


def test_partial_vertebrae_follow_the_choice() -> None:
    assert spider_table()[101] == 2
    assert spider_table()[109] == 10
    assert spider_table(partial="background")[101] == 0
    assert spider_table(partial="ignore")[101] == 20 == spider_labels(partial="ignore")["ignore"]
    assert spider_table(canal=True, partial="ignore")[101] == 21


def test_what_lies_above_t9_is_background_or_ignored() -> None:
    above = [*range(10, 26), *range(110, 126), *range(210, 226)]
    assert {spider_table()[code] for code in above} == {0}
    assert {spider_table(partial="ignore")[code] for code in above} == {0}
    assert {spider_table(above="ignore")[code] for code in above} == {20}


@pytest.mark.parametrize("canal", [False, True])
@pytest.mark.parametrize("above", ["background", "ignore"])
def test_labels_are_consecutive_and_hold_every_target(canal: bool, above: str) -> None:
    labels = spider_labels(canal, "vertebra", above)
    assert list(labels.values()) == list(range(len(labels)))
    assert set(spider_table(canal, "vertebra", above).values()) <= set(labels.values())


def test_map_codes_replaces_and_counts() -> None:
    mapped, counts = map_codes(np.array([[0, 7, 7], [9, 0, 9]]), {0: 0, 7: 3, 9: 0})
    assert mapped.tolist() == [[0, 3, 3], [0, 0, 0]]
    assert counts == {0: 2, 7: 2, 9: 2}


@pytest.mark.parametrize("code", [99, 226, -3, 70000])
def test_map_codes_refuses_unknown_codes_and_names_them(code: int) -> None:
    with pytest.raises(CaseError, match=rf"unknown label code {code} \(2 voxels\).*0-25, 100-125, 201-225"):
        map_codes(np.array([0, 1, code, code]), spider_table())


def test_channel_names_say_the_weighting_only_where_all_share_it() -> None:
    assert channel_name(["t1"]) == "T1 MRI"
    assert channel_name(["t2", "t2_SPACE"]) == "T2 MRI"
    assert channel_name(["t1", "t2"]) == "MRI"
