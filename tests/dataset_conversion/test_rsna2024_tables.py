from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from nnunet_textguided.dataset_conversion.rsna2024_tables import read_tables
from nnunet_textguided.errors import UserError

SERIES = "study_id,series_id,series_description\n7,70,Sagittal T1\n7,71,Sagittal T2/STIR\n"
LABELS = "study_id,spinal_canal_stenosis_l1_l2,left_subarticular_stenosis_l5_s1\n7,Moderate,\n"
MARKS = "study_id,series_id,instance_number,condition,level,x,y\n7,71,9,Spinal Canal Stenosis,L1/L2,10.5,20\n"


def write(
    folder: Path, series: str = SERIES, labels: str = LABELS, marks: str = MARKS, encoding: str = "utf-8"
) -> Path:
    (folder / "train_series_descriptions.csv").write_bytes(series.encode(encoding))
    (folder / "train.csv").write_bytes(labels.encode(encoding))
    (folder / "train_label_coordinates.csv").write_bytes(marks.encode(encoding))
    return folder


def test_the_two_spellings_of_conditions_and_levels_meet(tmp_path: Path):
    rows = read_tables(write(tmp_path))[0]["7"]
    key = ("L1/L2", "spinal canal stenosis")
    assert rows.series == {"70": "sagittal_t1", "71": "sagittal_t2_stir"}
    assert rows.severities == {key: "moderate"}
    assert (rows.marks[key].instance, rows.marks[key].x, rows.marks[key].y) == ("9", 10.5, 20.0)


@pytest.mark.parametrize(("threshold", "present"), [("moderate", 1), ("severe", 0)])
def test_the_threshold_decides_what_is_present_and_empty_is_not_assessed(tmp_path: Path, threshold, present):
    rows = read_tables(write(tmp_path))[0]["7"]
    assert rows.decisions(threshold) == [("L1/L2", "spinal canal stenosis", present)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_encodings_and_spellings_do_not_matter(tmp_path: Path, encoding: str, separator: str):
    texts = (SERIES, LABELS.replace("Moderate", " moderate "), MARKS.replace("condition", "Condition"))
    write(tmp_path, *(text.replace(",", separator) for text in texts), encoding=encoding)
    studies, problems = read_tables(tmp_path)
    assert problems == {}
    assert studies["7"].severities == {("L1/L2", "spinal canal stenosis"): "moderate"}
    assert len(studies["7"].marks) == 1


def test_rows_that_cannot_be_meant_so_are_named_and_the_rest_is_read(tmp_path: Path):
    write(
        tmp_path,
        SERIES + "../8,80,Sagittal T1\n",
        LABELS.replace("Moderate,", "Bad,Severe") + "9,Severe,\n",
        MARKS + "7,71,9,Spinal Canal Stenosis,L9/L10,1,1\n7,71,/etc,Spinal Canal Stenosis,L2/L3,1,1\n"
        "7,71,9,Spinal Canal Stenosis,L2/L3,one,1\n",
    )
    studies, problems = read_tables(tmp_path)
    assert list(studies) == ["7"]
    assert studies["7"].severities == {("L5/S", "left subarticular stenosis"): "severe"}
    assert list(problems) == [
        "train_series_descriptions.csv:4",
        "train.csv:2",
        "train_label_coordinates.csv:3",
        "train_label_coordinates.csv:4",
        "train_label_coordinates.csv:5",
        "9",
    ]
    assert "expected a number in study_id, got '../8'" in problems["train_series_descriptions.csv:4"]


def test_a_table_without_its_columns_is_an_error(tmp_path: Path):
    write(tmp_path, series="study,series\n1,2\n")
    with pytest.raises(UserError, match="missing are study_id, series_id, series_description"):
        read_tables(tmp_path)


def test_the_real_rows_hold_the_values_they_should(real_data: Path):
    studies, problems = read_tables(real_data / "rsna2024_mini")
    rows = studies["100206310"]
    assert problems == {}
    assert Counter(rows.severities.values()) == {"moderate": 12, "normal_mild": 9, "severe": 4}
    assert len(rows.marks) == 25
    assert sum(present for *_, present in rows.decisions("moderate")) == 16
    assert sum(present for *_, present in rows.decisions("severe")) == 4
