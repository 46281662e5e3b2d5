from __future__ import annotations

import json
from pathlib import Path

import pytest

from nnunet_textguided.comparison.splits import cases_by_fold, folds_of, split_of, validation_cases
from nnunet_textguided.errors import UserError

GOOD = [{"train": ["c", "a"], "val": ["d", "b"]}, {"train": ["b", "d"], "val": ["a", "c"]}]


def written(folder: Path, content) -> Path:
    (folder / "splits_final.json").write_text(json.dumps(content))
    return folder


def test_folds_and_their_cases_are_read_sorted(tmp_path: Path):
    folder = written(tmp_path, GOOD)
    assert folds_of(folder) == (0, 1)
    assert validation_cases(folder, 0) == ("b", "d")
    assert split_of(folder, 0).train == ("a", "c")
    assert cases_by_fold(folder, (1, 0)) == {1: ("a", "c"), 0: ("b", "d")}


def test_missing_file_says_when_nnunet_writes_it(tmp_path: Path):
    with pytest.raises(UserError, match="first fold of the data set is trained"):
        folds_of(tmp_path)


@pytest.mark.parametrize("fold", [2, -1])
def test_a_fold_that_does_not_exist_is_refused(tmp_path: Path, fold: int):
    with pytest.raises(UserError, match=rf"folds 0 to 1, got fold {fold}"):
        split_of(written(tmp_path, GOOD), fold)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": ["a", "b"], "val": ["b"]}, "has b in both train and val"),
        ({"train": ["a"], "val": ["b", "b"]}, "lists b more than once under val"),
        ({"train": ["a", "a"], "val": ["b"]}, "lists a more than once under train"),
        ({"train": ["a"], "val": []}, "validates no case"),
    ],
)
def test_a_case_that_is_listed_wrongly_is_named(tmp_path: Path, split: dict, message: str):
    with pytest.raises(UserError, match=message):
        validation_cases(written(tmp_path, [split]), 0)


def test_a_case_in_two_folds_is_named_unless_only_one_of_them_is_compared(tmp_path: Path):
    folder = written(tmp_path, [*GOOD, {"train": ["b"], "val": ["c"]}])
    assert cases_by_fold(folder, (0, 1)).keys() == {0, 1}
    with pytest.raises(UserError, match="case c is validated by fold 1 and by fold 2"):
        cases_by_fold(folder, (0, 1, 2))


@pytest.mark.parametrize("content", [{}, [], [{"train": ["a"]}], [{"train": ["a"], "val": "b"}], [["a"]]])
def test_a_file_of_another_form_is_refused(tmp_path: Path, content):
    with pytest.raises(UserError, match="expected a list"):
        folds_of(written(tmp_path, content))
