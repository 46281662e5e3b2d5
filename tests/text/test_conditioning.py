from __future__ import annotations

import numpy as np
import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.text.conditioning import condition


def _bank(rows: int, width: int = 12, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    common = random.standard_normal(width)
    return (common + 0.3 * random.standard_normal((rows, width))).astype(np.float32)


def test_two_rows_become_opposite_unit_vectors():
    result = condition(np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32), n_structures=2)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(result, [[half, -half], [-half, half]], atol=1e-6)
    assert result.dtype == np.float32


def test_sets_of_one_are_not_centred_and_half_whitening_takes_the_root():
    rows = np.array([[3.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(condition(rows, 1, 0.0), rows / np.sqrt(5.0), atol=1e-6)
    np.testing.assert_allclose(condition(rows, 1, 0.5), [[np.sqrt(1.5), 0], [0, np.sqrt(0.5)]], atol=1e-6)
    np.testing.assert_allclose(condition(rows, 1, 1.0), np.eye(2), atol=1e-6)


def test_structures_and_findings_are_centred_apart_with_one_scale():
    rows = _bank(7)
    result = condition(rows, 4)
    np.testing.assert_allclose(result[:4].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(result[4:].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.mean(np.sum(result**2, axis=1)), 1.0, rtol=1e-5)
    ratio = np.linalg.norm(rows[0] - rows[1]) / np.linalg.norm(rows[4] - rows[5])
    np.testing.assert_allclose(
        np.linalg.norm(result[0] - result[1]) / np.linalg.norm(result[4] - result[5]), ratio, rtol=1e-4
    )


def test_full_whitening_leaves_only_the_angle_of_a_simplex():
    result = condition(_bank(5), 5, whitening=1.0)
    gram = result @ result.T
    cosines = gram / np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
    expected = np.full((5, 5), -0.25)
    np.fill_diagonal(expected, 1.0)
    np.testing.assert_allclose(cosines, expected, atol=1e-5)


def test_partial_whitening_lies_between():
    spread = []
    for whitening in (0.0, 0.5, 1.0):
        values = np.linalg.svd(condition(_bank(6), 6, whitening), compute_uv=False)[:5]
        spread.append(values[0] / values[-1])
    assert spread[0] > spread[1] > spread[2]
    np.testing.assert_allclose(spread[1], np.sqrt(spread[0]), rtol=1e-3)
    np.testing.assert_allclose(spread[2], 1.0, rtol=1e-4)


@pytest.mark.parametrize("whitening", [0.0, 0.4, 1.0])
def test_permuted_structures_give_permuted_rows(whitening):
    rows = _bank(8)
    order = np.array([3, 0, 4, 2, 1, 5, 6, 7])
    np.testing.assert_allclose(condition(rows[order], 5, whitening), condition(rows, 5, whitening)[order], atol=1e-5)


def test_the_input_is_not_changed():
    rows = _bank(4).astype(np.float64)
    before = rows.copy()
    condition(rows, 2, 1.0)
    np.testing.assert_array_equal(rows, before)


def test_more_rows_than_width_and_one_hot_rows_are_fine():
    assert np.isfinite(condition(_bank(9, width=4), 9, 1.0)).all()
    result = condition(np.eye(6, 8), 4, 1.0)
    assert np.linalg.matrix_rank(result, tol=1e-3) == 4


def test_identical_rows_are_an_error_that_names_them():
    rows = _bank(4)
    rows[3] = rows[1]
    with pytest.raises(UserError, match="'L5' and 'disc bulge'"):
        condition(rows, 3, names=["S", "L5", "L4", "disc bulge"])


def test_broken_input_is_an_error():
    rows = _bank(3)
    rows[1, 2] = np.nan
    with pytest.raises(UserError, match="row 1"):
        condition(rows, 3)
    with pytest.raises(UserError, match="zero"):
        condition(np.zeros((1, 4)), 1)
    with pytest.raises(UserError, match="whitening"):
        condition(_bank(3), 3, whitening=1.5)
    with pytest.raises(ValueError, match="structures"):
        condition(_bank(3), 4)
