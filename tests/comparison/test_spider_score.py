"""The SPIDER challenge's score, against numbers counted by hand and distances of all pairs of border voxels."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from toy_column import CODES, NAMES, column, renamed

from nnunet_textguided.comparison import spider_score
from nnunet_textguided.comparison.spider_score import (
    border_voxels,
    nearest_distances,
    score_instances,
    summarise_instances,
)
from nnunet_textguided.errors import UserError

SPACING = (2.7, 0.9, 0.6)


def score(truth, prediction, spacing=SPACING, names=NAMES, **options) -> pd.DataFrame:
    return pd.DataFrame(score_instances("case", truth, prediction, spacing, names, **options)).set_index("structure")


def summary(truth, prediction, **options) -> pd.Series:
    return summarise_instances(score(truth, prediction, **options).reset_index()).iloc[0]


def borders_by_neighbours(mask):
    """Positions of the voxels with at least one of 26 neighbours outside the mask, beyond the image included."""
    padded = np.pad(mask, 1)
    inner = np.ones_like(padded)
    for step in itertools.product((-1, 0, 1), repeat=mask.ndim):
        inner &= np.roll(padded, step, axis=tuple(range(mask.ndim)))
    return np.argwhere(padded & ~inner) - 1


def distance_by_all_pairs(one, other, spacing):
    pairs = cdist(borders_by_neighbours(one) * np.array(spacing), borders_by_neighbours(other) * np.array(spacing))
    return np.concatenate([pairs.min(0), pairs.min(1)]).mean()


def blob(random):
    mask = np.zeros((8, 7, 9), dtype=bool)
    low = random.integers(0, 3, 3)
    mask[tuple(slice(start, start + 5) for start in low)] = random.random((5, 5, 5)) < 0.8
    return mask


def test_the_truth_itself_scores_one_and_zero():
    rows = score(column(), column())
    assert (rows["dice"] == 1).all()
    assert rows["detected"].all()
    assert (rows[["asd_mm", "asd_official_mm"]] == 0).all(axis=None)
    assert (rows["matched"] == rows.index).all()


def test_names_one_level_off_cost_nothing_here():
    truth, prediction = column(), renamed(column(), 1)
    shared_names = [((truth == code) & (prediction == code)).any() for code in range(1, 20)]
    assert not any(shared_names)
    rows, found = score(truth, prediction), summary(truth, prediction)
    assert rows.loc["L5", "matched"] == "L4"
    assert rows.loc["T10/T11", "matched"] == "T9/T10"
    expected = ["dice_vertebrae", "dice_discs", "dice_canal", "detection_vertebrae", "detection_discs"]
    assert found[expected].tolist() == [1.0] * 5
    assert found["asd_official_mm_overall"] == 0


def test_a_row_for_every_vertebra_disc_and_canal_of_the_truth_by_code():
    rows = score_instances("case", column(), np.where(column() == CODES["L3"], 0, column()), SPACING, NAMES)
    assert [row["structure"] for row in rows] == [NAMES[code] for code in np.unique(column())[1:].tolist()]
    assert {type(row[key]) for row in rows for key in ("dice", "detected", "asd_mm")} == {float, bool}
    groups = pd.DataFrame(rows).groupby("group").size().to_dict()
    assert groups == {"vertebrae": 7, "discs": 8, "canal": 1}


def test_surface_distance_of_two_boxes_one_slice_apart():
    truth, prediction = np.zeros((7, 5, 5), dtype=int), np.zeros((7, 5, 5), dtype=int)
    truth[1:4, 1:4, 1:4] = prediction[2:5, 1:4, 1:4] = CODES["L3"]
    row = score(truth, prediction, spacing=(2.0, 1.0, 1.0)).loc["L3"]
    # Of 26 border voxels the 9 of the outer slice are a slice away; the middle one of the inner slice lies inside the
    # other box, one voxel from its border.
    assert row["dice"] == pytest.approx(2 / 3, abs=1e-12)
    assert row["asd_mm"] == pytest.approx((9 * 2 + 1) / 26, abs=1e-12)
    assert row["asd_official_mm"] == pytest.approx((9 * 1 + 1) / 26, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_surface_distances_equal_those_over_all_pairs_of_border_voxels(seed):
    random = np.random.default_rng(seed)
    one, other = blob(random), blob(random)
    spacing = tuple(random.uniform(0.3, 4, 3))
    row = score(one * CODES["L2/L3"], other * CODES["T12"], spacing).loc["L2/L3"]
    assert row["matched"] == "T12"
    assert row["dice"] == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()), abs=1e-12)
    assert row["asd_mm"] == pytest.approx(distance_by_all_pairs(one, other, spacing), abs=1e-10)
    assert row["asd_official_mm"] == pytest.approx(distance_by_all_pairs(one, other, spacing[::-1]), abs=1e-10)


def test_both_distances_agree_where_voxels_are_cubes():
    rows = score(column(), np.roll(column(), 1, axis=1), spacing=(1.5, 1.5, 1.5))
    assert (rows["asd_mm"] > 0).all()
    assert (rows["asd_mm"] == rows["asd_official_mm"]).all()


@pytest.mark.parametrize("voxels_per_query", [0, 10**9], ids=["tree", "transform"])
@pytest.mark.parametrize("spread", [3, 40])
def test_nearest_distances_either_way_equal_those_of_all_pairs(monkeypatch, voxels_per_query, spread):
    monkeypatch.setattr(spider_score, "_VOXELS_PER_QUERY", voxels_per_query)
    random = np.random.default_rng(spread)
    points, targets = (np.unique(random.integers(0, spread, (60, 3)), axis=0) for _ in range(2))
    expected = cdist(points * np.array(SPACING), targets * np.array(SPACING)).min(axis=1)
    np.testing.assert_allclose(nearest_distances(points, targets, SPACING), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_border_voxels_have_a_neighbour_of_another_label(seed):
    labels = np.random.default_rng(seed).choice([0, 2, 5], (4, 7, 6), p=[0.1, 0.7, 0.2])
    for code, found in border_voxels(labels, [2, 5]).items():
        np.testing.assert_array_equal(found, borders_by_neighbours(labels == code))


def test_voxels_at_the_edge_of_the_image_are_border():
    assert len(border_voxels(np.full((3, 4, 5), 2), [2])[2]) == 3 * 4 * 5 - 1 * 2 * 3
    assert len(border_voxels(np.full((1, 4, 5), 2), [2])[2]) == 4 * 5


def test_background_around_the_structures_changes_nothing():
    truth, prediction = column()[1:4, 2:64, 2:14], np.roll(column(), 2, axis=1)[1:4, 2:64, 2:14]
    wider = [np.pad(labels, ((1, 5), (7, 2), (0, 9))) for labels in (truth, prediction)]
    pd.testing.assert_frame_equal(score(truth, prediction), score(*wider))


def test_dice_of_a_tenth_is_detected_and_less_is_not():
    truth, prediction = np.zeros((1, 2, 30), dtype=int), np.zeros((1, 2, 30), dtype=int)
    truth[0, :, :10] = [[CODES["L5"]], [CODES["L4"]]]
    prediction[0, 0, 9:19], prediction[0, 1, 9:20] = CODES["L5"], CODES["L4"]
    rows = score(truth, prediction)
    assert rows["dice"].tolist() == pytest.approx([2 / 20, 2 / 21], abs=1e-12)
    assert rows["detected"].tolist() == [True, False]


def test_a_missed_vertebra_lowers_the_rate_but_not_the_mean_dice():
    prediction = column()
    prediction[prediction == CODES["L3"]] = 0
    row, found = score(column(), prediction).loc["L3"], summary(column(), prediction)
    assert (row["dice"], row["detected"], row["matched"]) == (0.0, False, "")
    assert np.isnan(row[["asd_mm", "asd_official_mm"]].astype(float)).all()
    assert found["detection_vertebrae"] == pytest.approx(6 / 7, abs=1e-12)
    assert found["dice_vertebrae"] == 1
    assert found["dice_overall"] == pytest.approx(15 / 16, abs=1e-12)
    assert found["without_overlap"] == 1


def test_one_undefined_distance_undoes_the_official_mean_alone():
    prediction = np.roll(column(), 1, axis=2)
    prediction[prediction == CODES["L3"]] = 0
    rows, found = score(column(), prediction), summary(column(), prediction)
    others = rows[(rows["group"] == "vertebrae") & (rows.index != "L3")]
    assert found["asd_mm_vertebrae"] == pytest.approx(sum(others["asd_mm"]) / 6, abs=1e-12)
    assert np.isnan(found["asd_official_mm_vertebrae"])
    assert np.isnan(found["asd_official_mm_overall"])
    assert found["asd_official_mm_discs"] > 0


def test_two_vertebrae_predicted_as_one_are_both_matched_with_it():
    prediction = column()
    prediction[prediction == CODES["L4"]] = CODES["L5"]
    rows = score(column(), prediction)
    assert rows.loc[["L5", "L4"], "matched"].tolist() == ["L5", "L5"]
    assert rows.loc[["L5", "L4"], "dice"].tolist() == pytest.approx([2 / 3, 2 / 3], abs=1e-12)
    assert summary(column(), prediction)["dice_vertebrae"] == pytest.approx((5 + 2 * 2 / 3) / 7, abs=1e-12)


def test_equal_overlaps_go_to_the_lower_code():
    truth = np.full((1, 1, 8), CODES["L3"])
    prediction = np.array([[[5, 5, 5, 4, 4, 4, 0, 0]]])
    assert score(truth, prediction).loc["L3", "matched"] == NAMES[4]


def test_the_canal_stands_by_itself_however_small_its_dice():
    prediction = column()
    canal = np.argwhere(prediction == CODES["canal"])
    prediction[tuple(canal[10:].T)] = 0
    row, found = score(column(), prediction).loc["canal"], summary(column(), prediction)
    expected = 2 * 10 / (10 + len(canal))
    assert expected < 0.1
    assert not row["detected"]
    assert found["dice_canal"] == pytest.approx(expected, abs=1e-12)
    assert found[["dice_vertebrae", "dice_discs"]].tolist() == [1.0, 1.0]
    assert found["asd_mm_canal"] == row["asd_mm"] > 0


def test_the_sacrum_is_no_row_but_can_be_what_a_vertebra_is_taken_for():
    rows = score(column("S", "T11"), column("S", "T11"))
    assert "S" not in rows.index
    assert score(column("L5", "T11"), renamed(column("L5", "T11"), -1)).loc["L5", "matched"] == "S"


def test_names_in_another_order_and_other_codes_give_the_same_numbers():
    prediction = np.roll(column(), 1, axis=2)
    expected = score(column(), prediction)
    pd.testing.assert_frame_equal(score(column(), prediction, names=dict(reversed(NAMES.items()))), expected)
    codes = np.concatenate([[0], np.random.default_rng(0).permutation(np.arange(40, 60))])
    other_names = {int(codes[code]): name for code, name in NAMES.items()}
    found = score(codes[column()], codes[prediction], names=other_names)
    pd.testing.assert_frame_equal(found.sort_index(), expected.sort_index())


def test_turned_axes_give_the_same_distance_in_mm():
    prediction = np.roll(column(), 1, axis=1)
    turned = score(column().transpose(2, 0, 1), prediction.transpose(2, 0, 1), (SPACING[2], SPACING[0], SPACING[1]))
    np.testing.assert_allclose(turned["asd_mm"], score(column(), prediction)["asd_mm"], atol=1e-12)


@pytest.mark.parametrize("names", [{1: "Anterior", 2: "Posterior"}, {1: "T1", 2: "canal", 3: "S"}, {}])
def test_labels_that_are_no_spine_have_no_rows(names):
    assert score_instances("case", column(), column(), SPACING, names) == []


def test_regions_beside_the_classes_change_nothing():
    names = {tuple(range(1, 20)): "spine", **{(code,): name for code, name in NAMES.items()}}
    pd.testing.assert_frame_equal(score(column(), column(), names=names), score(column(), column()))


def test_partly_visible_vertebrae_are_no_rows_but_can_be_matched():
    names = {**NAMES, 21: "partial L5"}
    labels = column()
    labels[labels == CODES["L5"]] = 21
    assert "partial L5" not in score(labels, labels, names=names).index
    assert score(column(), labels, names=names).loc["L5", "matched"] == "partial L5"


def test_what_the_truth_ignores_counts_for_nothing():
    truth = column()
    truth[:, :30] = 50
    prediction = column()
    expected = np.where(truth == 50, 0, prediction)
    pd.testing.assert_frame_equal(score(truth, prediction, ignore_label=50), score(expected, expected))


def test_masks_of_floats_are_read_as_codes():
    pd.testing.assert_frame_equal(score(column().astype(np.float32), column().astype(np.uint8)), score(*[column()] * 2))


@pytest.mark.parametrize(
    ("truth", "prediction", "spacing", "words"),
    [
        (
            column(),
            column()[1:],
            SPACING,
            r"Case case: truth has the shape \(5, 66, 16\), the prediction \(4, 66, 16\)",
        ),
        (column(), column() - 0.5, SPACING, "Case case: prediction holds values that are no whole numbers"),
        (column() - 1, column(), SPACING, "Case case: truth holds negative values"),
        (column(), column(), (1.0, 1.0), "Case case: expected 3 spacings above 0 mm"),
        (column(), column(), (1.0, 0.0, 1.0), "Case case: expected 3 spacings above 0 mm"),
    ],
)
def test_masks_that_cannot_be_compared_are_refused_by_name(truth, prediction, spacing, words):
    with pytest.raises(UserError, match=words):
        score_instances("case", truth, prediction, spacing, NAMES)


def test_summary_has_a_row_a_case_in_order_also_after_a_csv(tmp_path):
    missing = np.where(column() == CODES["L3"], 0, column())
    rows = pd.DataFrame(
        score_instances("b", column(), missing, SPACING, NAMES)
        + score_instances("a", column(), np.zeros_like(missing), SPACING, NAMES)
    )
    found = summarise_instances(rows)
    assert found["case"].tolist() == ["a", "b"]
    empty = found.iloc[0]
    assert empty[["detection_vertebrae", "detection_discs", "dice_canal", "dice_overall"]].tolist() == [0.0] * 4
    assert empty[["dice_vertebrae", "dice_discs", "asd_mm_overall", "asd_official_mm_canal"]].isna().all()
    rows.to_csv(tmp_path / "rows.csv", index=False)
    pd.testing.assert_frame_equal(summarise_instances(pd.read_csv(tmp_path / "rows.csv")), found)


def test_summary_of_no_rows_is_empty_with_the_same_columns():
    columns = summarise_instances(score(column(), column()).reset_index()).columns.tolist()
    found = summarise_instances(pd.DataFrame())
    assert len(found) == 0
    assert found.columns.tolist() == columns


def test_a_case_without_discs_has_no_number_for_them():
    vertebrae = np.where(column() < 11, column(), 0)
    found = summary(vertebrae, vertebrae)
    assert found[["dice_discs", "detection_discs", "asd_mm_discs", "dice_canal"]].isna().all()
    assert found["dice_overall"] == 1
