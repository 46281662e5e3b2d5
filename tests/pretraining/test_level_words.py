from __future__ import annotations

import pytest

from nnunet_textguided.pretraining.level_words import spell_levels

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
    (spelled,) = spell_levels([report], 1.0, seed=0)
    assert spelled == expected


def test_t2_weighting_is_no_vertebra():
    reports = ["T2 hyperintense signal.", "High signal on T1 and T2-weighted images."]
    assert spell_levels(reports, 1.0, seed=0) == reports


def test_a_share_is_spelled_the_same_ones_for_the_same_seed():
    reports = ["Bulge at L4/L5."] * 200
    once, again, other = (spell_levels(reports, 0.5, seed) for seed in (0, 0, 1))
    assert once == again != other
    assert 70 < sum(report != reports[0] for report in once) < 130
    assert spell_levels(reports, 0.0, 0) == reports
