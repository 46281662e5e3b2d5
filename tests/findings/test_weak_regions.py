from __future__ import annotations

import torch

from nnunet_textguided.findings.weak_regions import Gaps, fill_gaps

IGNORE, CLASSES = 4, 4


def table(*codes: int) -> torch.Tensor:
    chosen = torch.zeros(1, CLASSES, dtype=torch.bool)
    chosen[0, list(codes)] = True
    return chosen


def filled(labels: list[int], predicted: list[int], probability: float, **gaps) -> list[int]:
    """Codes of a row of voxels whose prediction has the given probability."""
    one_hot = torch.nn.functional.one_hot(torch.tensor(predicted), CLASSES).T[None, :, None]
    rest = (1 - probability) / (CLASSES - 1)
    logits = (one_hot * (probability - rest) + rest).log()
    known = Gaps(**{"ignore_label": IGNORE, "lacking": table(), "placed": table(), **gaps})
    return fill_gaps(torch.tensor(labels, dtype=torch.int16)[None, None], logits, known)[0, 0].tolist()


def test_what_is_annotated_stays():
    assert filled([0, 1, 2, 3], [3, 2, 1, 0], 0.99) == [0, 1, 2, 3]


def test_open_voxels_are_what_the_network_is_sure_of():
    assert filled([IGNORE] * 4, [0, 1, 2, 3], 0.81) == [0, 1, 2, 3]
    assert filled([IGNORE] * 4, [0, 1, 2, 3], 0.79) == [0, 0, 0, 0]


def test_background_may_hide_lacking_classes_only():
    assert filled([0, 0, 0, 3], [1, 2, 1, 1], 0.9, lacking=table(1)) == [1, 0, 1, 3]
    assert filled([0], [1], 0.7, lacking=table(1)) == [0]


def test_near_a_mark_the_mark_names_the_structure():
    cells = torch.tensor([[[2, 2, 2, 2, 0]]])
    # unsure, sure of the same, of another that is marked elsewhere, of background, of one outside the cell
    predicted, marked = [2, 2, 3, 0, 3], table(2, 3)
    assert filled([IGNORE] * 5, predicted, 0.9, placed=marked, cells=cells) == [2, 2, 2, 2, 3]
    assert filled([IGNORE] * 5, predicted, 0.5, placed=marked, cells=cells) == [2, 2, 2, 2, 0]


def test_a_structure_without_a_mark_is_seen_near_the_mark_of_another():
    cells = torch.tensor([[[2, 2]]])
    assert filled([IGNORE] * 2, [3, 2], 0.9, placed=table(2), cells=cells) == [3, 2]


def test_cells_count_where_nothing_is_annotated():
    assert filled([0, 1, IGNORE], [0, 0, 0], 0.9, cells=torch.tensor([[[2, 2, 2]]])) == [0, 1, 2]


def test_without_an_ignore_label_no_voxel_is_open():
    assert filled([0, 1, 3], [2, 2, 2], 0.9, ignore_label=None) == [0, 1, 3]


def test_no_gradient_goes_through_the_regions():
    logits = torch.randn(1, CLASSES, 2, 2, requires_grad=True)
    known = Gaps(IGNORE, table(), table())
    assert not fill_gaps(torch.full((1, 2, 2), IGNORE), logits, known).requires_grad
