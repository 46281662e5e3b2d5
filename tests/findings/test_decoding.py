from __future__ import annotations

import numpy as np
import pytest
import torch

from nnunet_textguided.findings.decoding import decode
from nnunet_textguided.findings.pooling import pool_scores
from nnunet_textguided.findings.regions import structure_regions
from nnunet_textguided.findings.vocabulary import FindingVocabulary

VOCABULARY = FindingVocabulary.from_block(
    {"bulge": {"applies_to": ["disc"]}, "fracture": {"applies_to": ["upper", "lower"]}}, ("upper", "disc", "lower")
)
CODES = (3, 5, 2)
SPACING = (4.0, 1.0, 1.0)


@pytest.fixture
def labels() -> np.ndarray:
    """Three boxes one above the other, the disc four rows high."""
    volume = np.zeros((5, 40, 30), dtype=np.uint8)
    volume[1:4, 4:14, 8:20], volume[1:4, 15:19, 8:20], volume[1:4, 20:30, 8:20] = 3, 5, 2
    return volume


def maps_with(*, voxel: tuple[int, int, int], finding: int = 0, logit: float = 12.0) -> np.ndarray:
    maps = np.full((2, 5, 40, 30), -9.0, dtype=np.float32)
    z, y, x = voxel
    maps[finding, z, y : y + 2, x : x + 2] = logit
    return maps


def by_site(decisions) -> dict:
    return {(d.structure, d.finding): d for d in decisions}


def test_every_applicable_decision_of_a_segmented_structure_is_made_once(labels: np.ndarray):
    decisions = decode(maps_with(voxel=(2, 16, 10)), labels, VOCABULARY, CODES, SPACING)
    assert [(d.structure, d.finding) for d in decisions] == VOCABULARY.sites()


def test_a_structure_that_is_not_segmented_has_no_decision(labels: np.ndarray):
    labels[labels == 5] = 0
    decisions = decode(maps_with(voxel=(2, 16, 10)), labels, VOCABULARY, CODES, SPACING)
    assert [d.structure for d in decisions] == ["upper", "lower"]
    assert decode(maps_with(voxel=(2, 16, 10)), np.zeros_like(labels), VOCABULARY, CODES, SPACING) == []


def test_the_voxels_of_a_finding_are_those_that_stand_out(labels: np.ndarray):
    found = by_site(decode(maps_with(voxel=(2, 16, 10)), labels, VOCABULARY, CODES, SPACING))["disc", "bulge"]
    assert found.probability > 0.9
    assert found.voxels.tolist() == [[2, 16, 10], [2, 16, 11], [2, 17, 10], [2, 17, 11]]


def test_a_finding_beside_the_structure_counts_and_one_in_the_neighbour_does_not(labels: np.ndarray):
    beside = by_site(decode(maps_with(voxel=(2, 16, 21)), labels, VOCABULARY, CODES, SPACING))
    assert beside["disc", "bulge"].probability > 0.9
    inside_neighbour = by_site(decode(maps_with(voxel=(2, 8, 10)), labels, VOCABULARY, CODES, SPACING))
    assert inside_neighbour["disc", "bulge"].probability < 0.01


def test_probability_is_that_of_the_pooled_score(labels: np.ndarray):
    maps = np.random.default_rng(0).normal(size=(2, 5, 40, 30)).astype(np.float32)
    found = by_site(decode(maps, labels, VOCABULARY, CODES, SPACING))
    regions = structure_regions(torch.from_numpy(labels.astype(np.int64))[None], CODES, SPACING)
    scores, _ = pool_scores(torch.from_numpy(maps)[None], regions, 3)
    expected = torch.sigmoid(scores)[0]
    assert found["disc", "bulge"].probability == pytest.approx(expected[1, 0].item(), rel=1e-5)
    assert found["lower", "fracture"].probability == pytest.approx(expected[2, 1].item(), rel=1e-5)


def test_regions_of_a_slice_model_stay_within_the_slices(labels: np.ndarray):
    spacing = (1.0, 1.0, 1.0)
    maps = maps_with(voxel=(4, 16, 10))  # the slice beside the disc
    across = by_site(decode(maps, labels, VOCABULARY, CODES, spacing))["disc", "bulge"]
    within = by_site(decode(maps, labels, VOCABULARY, CODES, spacing, in_plane=True))["disc", "bulge"]
    assert across.probability > 0.5 > 0.1 > within.probability


def test_permuted_findings_permute_the_decisions(labels: np.ndarray):
    maps = np.random.default_rng(1).normal(size=(2, 5, 40, 30)).astype(np.float32)
    turned = FindingVocabulary(
        VOCABULARY.structures, VOCABULARY.names[::-1], VOCABULARY.terms[::-1], VOCABULARY.applies_to[::-1]
    )
    first = by_site(decode(maps, labels, VOCABULARY, CODES, SPACING))
    second = by_site(decode(maps[::-1], labels, turned, CODES, SPACING))
    assert {key: d.probability for key, d in first.items()} == {key: d.probability for key, d in second.items()}


def test_only_the_brightest_of_two_blobs_is_boxed(labels: np.ndarray):
    maps = maps_with(voxel=(2, 16, 10)) + maps_with(voxel=(2, 16, 16), logit=11.0) + 9.0
    found = by_site(decode(maps, labels, VOCABULARY, CODES, SPACING))["disc", "bulge"]
    assert found.voxels[:, 2].max() == 11
