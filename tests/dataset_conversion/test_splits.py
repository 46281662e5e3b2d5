from __future__ import annotations

import json
from pathlib import Path

import pytest

from nnunet_textguided.dataset_conversion.base.splits import install_splits, load_splits, split_by_patient
from nnunet_textguided.errors import UserError

PATIENTS = {f"p{patient:02d}_{sequence}": f"p{patient:02d}" for patient in range(12) for sequence in ("t1", "t2")}


def _write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_no_patient_is_on_both_sides_and_every_case_is_validated_once() -> None:
    splits = split_by_patient(PATIENTS)
    assert len(splits) == 5
    for split in splits:
        assert {PATIENTS[case] for case in split["train"]}.isdisjoint({PATIENTS[case] for case in split["val"]})
        assert sorted(split["train"] + split["val"]) == sorted(PATIENTS)
        assert len(split["val"]) in (4, 6)
    assert sorted(case for split in splits for case in split["val"]) == sorted(PATIENTS)


def test_the_split_depends_on_the_seed_alone() -> None:
    backwards = dict(reversed(PATIENTS.items()))
    assert split_by_patient(PATIENTS) == split_by_patient(backwards)
    assert split_by_patient(PATIENTS) != split_by_patient(PATIENTS, seed=1)


def test_few_patients_make_few_folds() -> None:
    assert len(split_by_patient({"a": "1", "b": "2", "c": "3"})) == 3
    assert split_by_patient({"a": "1", "b": "1"}) == []


def test_supplied_splits_are_taken_over(tmp_path: Path) -> None:
    splits = [{"train": ["p03_t1"], "val": ["p05_t1", "p06_t2"]}]
    assert load_splits(_write(tmp_path / "s.json", splits), PATIENTS) == splits


def test_a_patient_in_supplied_splits_means_all_cases_of_the_patient(tmp_path: Path) -> None:
    path = _write(tmp_path / "s.json", [{"train": ["p03"], "val": ["p05_t1"]}])
    assert load_splits(path, PATIENTS) == [{"train": ["p03_t1", "p03_t2"], "val": ["p05_t1"]}]


def test_supplied_splits_with_unknown_cases_are_refused_by_name(tmp_path: Path) -> None:
    path = _write(tmp_path / "s.json", [{"train": ["p03_t1", "p99_t1"], "val": ["p05_t1"]}])
    with pytest.raises(UserError, match=r"s\.json: fold 0 .*: p99_t1 "):
        load_splits(path, PATIENTS)


def test_supplied_splits_with_a_patient_on_both_sides_are_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "s.json", [{"train": ["p03_t1", "p04_t1"], "val": ["p03_t2"]}])
    with pytest.raises(UserError, match="fold 0 has p03 in both"):
        load_splits(path, PATIENTS)


@pytest.mark.parametrize("content", [{}, [], [["a"]], [{"train": ["p03_t1"]}], [{"train": "p03_t1", "val": []}]])
def test_supplied_splits_of_another_form_are_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(UserError, match="expected a list"):
        load_splits(_write(tmp_path / "s.json", content), PATIENTS)


def test_install_keeps_different_splits_unless_told_to_overwrite(tmp_path: Path) -> None:
    raw, preprocessed = tmp_path / "raw", tmp_path / "preprocessed"
    assert not install_splits(raw, preprocessed)
    _write(raw / "splits_final.json", [{"train": ["a"], "val": ["b"]}])
    assert install_splits(raw, preprocessed)
    assert json.loads((preprocessed / "splits_final.json").read_text()) == [{"train": ["a"], "val": ["b"]}]
    assert install_splits(raw, preprocessed)
    _write(raw / "splits_final.json", [{"train": ["b"], "val": ["a"]}])
    assert not install_splits(raw, preprocessed)
    assert json.loads((preprocessed / "splits_final.json").read_text()) == [{"train": ["a"], "val": ["b"]}]
    assert install_splits(raw, preprocessed, overwrite=True)
    assert json.loads((preprocessed / "splits_final.json").read_text()) == [{"train": ["b"], "val": ["a"]}]
