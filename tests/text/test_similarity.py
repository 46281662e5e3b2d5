from __future__ import annotations

import numpy as np
import pytest

from nnunet_textguided.spine import SPINE_STRUCTURES
from nnunet_textguided.text.similarity import level_rank_correlation, save_similarity_picture, similarities


def test_likeness_is_the_cosine_of_centred_rows():
    rows = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]]) + 5
    expected = np.array([[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1]])
    np.testing.assert_allclose(similarities(rows), expected, atol=1e-12)


@pytest.mark.parametrize(("sign", "expected"), [(-1, -1), (1, 1)])
def test_likeness_that_falls_with_every_level_correlates_fully(sign, expected):
    level = {name: n for kind in (SPINE_STRUCTURES[:10], SPINE_STRUCTURES[10:]) for n, name in enumerate(kind)}
    names = ["disc bulge", *reversed(SPINE_STRUCTURES)]
    matrix = np.array([[sign * abs(level.get(a, 50) - level.get(b, 50)) for b in names] for a in names], float)
    assert level_rank_correlation(names, matrix) == pytest.approx(expected)


def test_without_levels_there_is_no_correlation():
    assert np.isnan(level_rank_correlation(["liver", "spleen", "L4"], np.eye(3)))


def test_the_picture_is_drawn(tmp_path):
    save_similarity_picture(["a", "b"], np.eye(2), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
