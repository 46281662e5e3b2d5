from __future__ import annotations

import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.trainers.guidance import TextGuidance, agree, structure_names


def dataset(labels: dict | None = None, **guidance) -> dict:
    labels = labels or {"background": 0, "L5": 2, "S": 1, "ignore": 3}
    return {"labels": labels, "channel_names": {"0": "T2"}, **({"text_guidance": guidance} if guidance else {})}


def test_names_are_in_channel_order_without_background_and_ignore():
    assert structure_names(dataset()) == ["S", "L5"]


def test_regions_are_refused_with_their_names():
    with pytest.raises(UserError, match=r"\['whole'\] are regions"):
        structure_names(dataset({"background": 0, "whole": [1, 2], "core": 2}))


@pytest.mark.parametrize("labels", [{"background": 0}, {"background": 0, "a": 1, "b": 1}])
def test_labels_without_a_value_of_their_own_are_refused(labels: dict):
    with pytest.raises(UserError, match="each with a value of its own"):
        structure_names(dataset(labels))


def test_spine_labels_get_terms_from_the_glossary_and_others_their_own_name():
    spine = TextGuidance.for_dataset(dataset())
    assert "fifth lumbar vertebra" in spine.terms["L5"]
    other = TextGuidance.for_dataset(dataset({"background": 0, "left_kidney": 1}))
    assert other.terms == {"left_kidney": "left kidney"}


def test_terms_of_dataset_json_win_over_the_glossary():
    guidance = TextGuidance.for_dataset(dataset(terms={"L5": "lowest lumbar vertebra"}, orientation="PIR"))
    assert guidance.terms["L5"] == "lowest lumbar vertebra"
    assert guidance.orientation == "PIR"


def test_a_term_for_a_structure_that_does_not_exist_is_an_error():
    with pytest.raises(UserError, match=r"\['L55'\] are not among its labels"):
        TextGuidance.for_dataset(dataset(terms={"L55": "typo"}))


def test_plans_made_for_other_structures_contradict_the_data_set():
    with pytest.raises(UserError, match="made for the structures"):
        TextGuidance.for_dataset(dataset(), {"names": ["S", "L4"]})


def test_a_block_survives_the_way_through_plans():
    guidance = TextGuidance.for_dataset(dataset(), {"encoder": "convnextv2_pico", "seed": 3})
    assert TextGuidance.from_plans({"text_guidance": guidance.to_block()}) == guidance


def test_plans_without_a_complete_block_say_how_to_make_one():
    with pytest.raises(UserError, match="nnunet_textguided plan"):
        TextGuidance.from_plans({"plans_name": "nnUNetPlans", "text_guidance": {"mirror_axes": {"mode": "auto"}}})


def test_unknown_keys_are_an_error():
    with pytest.raises(UserError, match=r"unknown keys \['encodr'\]"):
        TextGuidance.for_dataset(dataset(), {"encodr": "x"})


@pytest.mark.parametrize("whitening", [-0.1, 1.1])
def test_whitening_is_an_exponent(whitening: float):
    with pytest.raises(UserError, match="from 0"):
        TextGuidance.for_dataset(dataset(), {"whitening": whitening})


def test_model_block_wins_where_plans_leave_things_open():
    saved = {"encoder": "a", "bank": {"sha256": "1"}, "mirror_axes": {"mode": "auto", "order_fixed_axes": [1]}}
    open_plans = {"encoder": "a", "bank": None, "mirror_axes": {"mode": "auto", "order_fixed_axes": None}}
    assert agree(saved, open_plans) is saved
    assert agree(saved, None) is saved


@pytest.mark.parametrize(
    "plans",
    [{"encoder": "b"}, {"bank": {"sha256": "2"}}, {"mirror_axes": {"mode": "all"}}],
)
def test_model_folder_refuses_other_options(plans: dict):
    saved = {"encoder": "a", "bank": {"sha256": "1"}, "mirror_axes": {"mode": "auto", "order_fixed_axes": [1]}}
    with pytest.raises(UserError, match=next(iter(plans))):
        agree(saved, plans)
