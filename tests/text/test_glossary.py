from __future__ import annotations

import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.spine import SPINE_STRUCTURES
from nnunet_textguided.text.glossary import SPINE_TERMS, canonical_name, term_for, terms_for


def test_structures_are_in_label_code_order():
    assert len(SPINE_STRUCTURES) == 19
    codes = {1: "S", 2: "L5", 6: "L1", 7: "T12", 10: "T9", 11: "L5/S", 12: "L4/L5", 16: "T12/L1", 19: "T9/T10"}
    for code, name in codes.items():
        assert SPINE_STRUCTURES[code - 1] == name


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("L4-L5", "L4/L5"),
        ("L4/5", "L4/L5"),
        ("L4_L5", "L4/L5"),
        ("l4 l5", "L4/L5"),
        ("L4L5", "L4/L5"),
        ("disc_L4_L5", "L4/L5"),
        ("disc L4/L5", "L4/L5"),
        ("IVD L4-5", "L4/L5"),
        ("L5-S1", "L5/S"),
        ("L5/S1", "L5/S"),
        ("L5/S", "L5/S"),
        ("disc_L5_S", "L5/S"),
        ("T12/1", "T12/L1"),
        ("Th12/L1", "T12/L1"),
        ("S1", "S"),
        ("sacrum", "S"),
        ("vertebra L4", "L4"),
        ("vertebrae_L4", "L4"),
        ("L4 vertebral body", "L4"),
        ("spinal canal", "canal"),
        ("Spinal_Canal", "canal"),
        ("L6/S1", "L6/S"),
        ("T12/T13", "T12/T13"),
        ("T13/L1", "T13/L1"),
        ("L5/6", "L5/L6"),
        ("L3 (partial)", "partial L3"),
        ("partial_L3", "partial L3"),
    ],
)
def test_usual_spellings_are_understood(label, name):
    assert canonical_name(label) == name
    assert name in SPINE_TERMS


@pytest.mark.parametrize(
    "label",
    ["Spleen", "liver", "Anterior", "Posterior", "L1 something", "L3/L5", "L7", "T14", "S2", "L", "L0", "", "disc",
     "disc L4", "vertebra L4/L5", "spinal cord", "T2w", "C1/C2", "SL5", "hippocampus head", "L4/L5 left"],
)  # fmt: skip
def test_other_labels_are_not_spine_names(label):
    assert canonical_name(label) is None


def test_every_canonical_name_is_read_as_itself():
    assert {name: canonical_name(name) for name in SPINE_TERMS} == {name: name for name in SPINE_TERMS}


def test_terms_are_plain_anatomy():
    assert term_for("L4/5") == "intervertebral disc between the fourth and fifth lumbar vertebrae"
    assert term_for("L5-S1") == "intervertebral disc between the fifth lumbar vertebra and the sacrum"
    assert term_for("T12/L1") == (
        "intervertebral disc between the twelfth thoracic vertebra and the first lumbar vertebra"
    )
    assert term_for("T9") == "ninth thoracic vertebra"
    assert term_for("L6") == "sixth lumbar vertebra"
    assert term_for("T13") == "thirteenth thoracic vertebra"
    assert term_for("partial L3") == "partially visible third lumbar vertebra"
    assert len(set(SPINE_TERMS.values())) == len(SPINE_TERMS)


def test_overrides_win_and_unknown_labels_are_read_as_words():
    assert term_for("L4", {"L4": "my vertebra"}) == "my vertebra"
    assert term_for("left_kidney") == "left kidney"
    with pytest.raises(UserError, match="L4"):
        term_for("L4", {"L4": " "})


def test_ambiguous_names_need_a_spine_label_beside_them():
    assert terms_for(["S", "T1", "Anterior"]) == ["S", "T1", "Anterior"]
    assert terms_for(["T1", "canal"]) == ["T1", "canal"]
    assert terms_for(["S", "T1", "canal", "L5"])[:3] == ["sacrum", "first thoracic vertebra", "spinal canal"]
    assert terms_for(["C1", "vertebrae_C2"]) == ["first cervical vertebra", "second cervical vertebra"]
    assert terms_for(["S1", "liver", "sacrum"]) == ["first sacral vertebra", "liver", "sacrum"]


def test_two_spellings_of_one_structure_are_an_error_that_names_both():
    with pytest.raises(UserError, match=r"'L4-L5' and 'L4/5'"):
        terms_for(["L5", "L4-L5", "L4/5"])
    with pytest.raises(UserError, match=r"'liver' and 'Liver'"):
        terms_for(["liver", "spleen", "Liver"])
    with pytest.raises(UserError, match=r"'liver' and 'liver'"):
        terms_for(["liver", "liver"])
    assert len(set(terms_for(["L4-L5", "L4/5"], {"L4/5": "the other disc"}))) == 2


def test_the_nineteen_have_nineteen_terms():
    assert terms_for(SPINE_STRUCTURES) == [SPINE_TERMS[name] for name in SPINE_STRUCTURES]
