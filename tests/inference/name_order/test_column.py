"""Which label sets are a column."""

from __future__ import annotations

import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.name_order import Column


def test_names_are_read_in_any_usual_spelling():
    labels = {"background": 0, "vertebra L5": 1, "L4": 2, "disc L5-S1": 3, "L4/L5": 4, "L3-L4 disc": 5, "canal": 6}
    column = Column.of_labels(labels)
    assert column.vertebrae == {1: 1, 2: 2}
    assert column.discs == {3: 1, 4: 2, 5: 3}
    assert list(column.disc_at()[:5]) == [0, 3, 4, 5, 0]
    assert list(column.vertebra_at()[:4]) == [0, 1, 2, 0]
    assert list(column.level_of_code(7)) == [-1, 1, 2, 1, 2, 3, -1, -1]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"background": 0, "anterior": 1, "posterior": 2}, "got none among anterior, posterior"),
        ({"background": 0, "L5": 1, "L4": 2, "L4/L5": 3, "L3/L4": 4}, "got L4/L5, L3/L4 among"),
        ({"background": 0, "L6": 1, "L5": 2, "L5/L6": 3, "L4/L5": 4, "L3/L4": 5, "L2/L3": 6}, "hold L6"),
    ],
)
def test_label_sets_that_cannot_be_counted_are_refused(labels: dict[str, int], words: str):
    with pytest.raises(UserError, match=words):
        Column.of_labels(labels)


def test_regions_are_left_out():
    labels = {"background": 0, "spine": [1, 2, 3, 4], "L4/L5": [1], "L3/L4": 2, "L2/L3": 3}
    assert set(Column.of_labels(labels).discs) == {1, 2, 3}
