from __future__ import annotations

import pytest

from nnunet_textguided.pretraining.anatomy_pairs import anatomy_pairs
from nnunet_textguided.pretraining.level_words import reword_levels, speak_of_levels
from nnunet_textguided.spine import SPINE_STRUCTURES
from nnunet_textguided.text.glossary import term_for

L45 = "intervertebral disc between the fourth and fifth lumbar vertebrae"


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("Bulge at L4-L5 level.", f"Bulge at {L45}."),
        ("Bulge at L4/L5.", f"Bulge at {L45}."),
        ("L4-5: disc bulge.", f"{L45}: disc bulge."),
        ("Dehydrated L4/5 disc.", f"Dehydrated {L45}."),
        ("L1 vertebral body wedged.", "first lumbar vertebra wedged."),
        ("D12 fracture.", "twelfth thoracic vertebra fracture."),
        (
            "Protrusion at L5-S1.",
            "Protrusion at intervertebral disc between the fifth lumbar vertebra and the sacrum.",
        ),
        ("Scoliosis from L1-L5.", "Scoliosis from L1-L5."),
    ],
)
def test_levels_are_spelled_as_the_glossary_does(report, expected):
    (spelled,) = reword_levels([report], 1.0, 0.0, seed=[0])
    assert spelled == expected


def test_t2_weighting_is_no_vertebra():
    reports = ["T2 hyperintense signal.", "High signal on T1 and T2-weighted images."]
    assert reword_levels(reports, 1.0, 0.0, seed=[0]) == reports


def test_a_share_is_spelled_the_same_ones_for_the_same_seed():
    reports = ["Bulge at L4/L5."] * 200
    once, again, other = (reword_levels(reports, 0.5, 0.0, [seed]) for seed in (0, 0, 1))
    assert once == again != other
    assert 70 < sum(report != reports[0] for report in once) < 130
    assert reword_levels(reports, 0.0, 0.0, [0]) == reports


def test_all_levels_of_a_report_move_together_and_stay_on_the_spine():
    discs = ["L5/S1", "L4/L5", "L3/L4", "L2/L3", "L1/L2", "T12/L1", "T11/T12", "T10/T11", "T9/T10"]
    reports = ["Bulges at L4-L5 and L3/4."] * 60
    moved = set(reword_levels(reports, 0.0, 1.0, seed=[0]))
    expected = {f"Bulges at {discs[n]} and {discs[n + 1]}." for n in range(8) if n != 1}
    assert moved == expected


def test_vertebrae_and_discs_move_by_the_same_number():
    (report,) = set(reword_levels(["T9 wedged, L5-S1 narrow, L4 normal."] * 5, 0.0, 1.0, seed=[0]))
    assert report == "T9 wedged, L5-S1 narrow, L4 normal."  # both ends are there: nowhere to move
    moved = set(reword_levels(["L5 normal, T10/T11 narrow."] * 40, 0.0, 1.0, seed=[0]))
    assert moved == {"S normal, T11/T12 narrow.", "L4 normal, T9/T10 narrow."}


def test_reports_of_other_organs_speak_of_no_levels():
    assert speak_of_levels(["Normal.", "Bulge at L4-5."])
    assert not speak_of_levels(["Tear of the medial meniscus.", "High signal on T2."])


def test_anatomy_pairs_are_prompts_of_structures_next_to_each_other():
    pairs = anatomy_pairs(300, [0])
    terms = {term_for(name): place for place, name in enumerate(SPINE_STRUCTURES)}
    found = set()
    for pair in pairs:
        # the longest term in a prompt is its own; "first lumbar vertebra" also ends that of a disc
        places = [terms[max((term for term in terms if term in prompt), key=len)] for prompt in pair]
        assert abs(places[0] - places[1]) == 1
        found.add(min(places))
    assert found == set(range(18)) - {9}  # T9 and L5/S stand side by side in the list only
    assert anatomy_pairs(300, [0]) == pairs != anatomy_pairs(300, [1])
