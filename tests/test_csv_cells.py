"""CSVs we write run no formula in a spreadsheet, and read back as what was written."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fuzzing import FAST
from hypothesis import given
from hypothesis import strategies as st

from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.record import RunRecord
from nnunet_textguided.csv_cells import original_cell, read_table, safe_cell, write_rows, write_table
from nnunet_textguided.dataset_conversion.sudirman import _write_reports
from nnunet_textguided.evaluation.finding_evaluation import FindingEvaluation, write_finding_evaluation
from nnunet_textguided.findings.annotations import Annotation, read_findings, write_findings
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.inference.finding_files import write_case, write_tables
from nnunet_textguided.pretraining.reports import read_reports

EVIL = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''-x", "\uff1d1"]
PACKAGE = Path(__file__).resolve().parent.parent / "nnunet_textguided"


def cells_of(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as stream:
        return [cell for row in csv.reader(stream) for cell in row]


def runs_as_formula(cell: str) -> bool:
    """What OWASP lists, but plain numbers, which a spreadsheet reads as what they are."""
    return cell[:1] in set("=+-@\t\r") and not re.fullmatch(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", cell)


@pytest.mark.parametrize("text", EVIL)
def test_a_formula_gets_an_apostrophe_and_comes_back(text: str):
    assert safe_cell(text) == f"'{text}"
    assert original_cell(safe_cell(text)) == text


@pytest.mark.parametrize("value", ["L4/L5", "'tis", "", "a=b", "-1.5", "+3e-7", "-0", ".5", -1.5, None, np.int64(-3)])
def test_numbers_and_plain_texts_stay_as_they_are(value):
    assert safe_cell(value) is value
    assert original_cell(value) is value


@FAST
@given(text=st.text("'=+-@\t\r\n1.e a\uff1d", max_size=6))
def test_every_text_comes_back(text: str):
    assert original_cell(safe_cell(text)) == text
    assert not runs_as_formula(safe_cell(text))


def test_a_table_reads_back_as_it_was(tmp_path: Path):
    table = pd.DataFrame(
        {
            "case": [*EVIL, "plain"],
            "=x": np.linspace(-1, 1, 10),
            "mixed": [1, None, -2.5, *EVIL[:6], "a"],
            "n": range(10),
        }
    )
    before = table.copy()
    write_table(table, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(table, before)
    assert not any(map(runs_as_formula, cells_of(tmp_path / "t.csv")))
    again = read_table(tmp_path / "t.csv", exact=True)
    assert list(again.columns) == ["case", "=x", "mixed", "n"]
    assert list(again["case"]) == [*EVIL, "plain"]
    np.testing.assert_array_equal(again["=x"], table["=x"])
    assert list(again["n"]) == list(range(10))


def test_a_table_without_formulas_is_written_as_pandas_does(tmp_path: Path):
    table = pd.DataFrame({"case": ["007", "b"], "x": [0.1, -1e-9], "y": [1, 2], "z": [True, False], "w": [None, "q"]})
    write_table(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == table.to_csv(index=False)


def test_findings_of_a_data_set(tmp_path: Path):
    vocabulary = FindingVocabulary(("=L5", "L4"), ("-bulge",), ("b",), (("=L5",),))
    rows = [Annotation("@case", "=L5", "-bulge", 1, (-1.5, 2.0, -3.25)), Annotation("b", "=L5", "-bulge", 0)]
    write_findings(rows, tmp_path / "findings.csv")
    assert not any(map(runs_as_formula, cells_of(tmp_path / "findings.csv")))
    assert "-1.50" in cells_of(tmp_path / "findings.csv")
    assert read_findings(tmp_path / "findings.csv", vocabulary).of_case("@case") == rows[:1]


def test_tables_of_a_prediction(tmp_path: Path):
    from nnunet_textguided.inference.case_findings import Structure

    structure = Structure("=L5", 1.0, (1.0, 2.0, 3.0), (1.0, 2.0, 3.0))
    write_case(tmp_path, "-case", [], [structure], {})
    write_tables(tmp_path)
    assert not any(map(runs_as_formula, cells_of(tmp_path / "structures.csv")))
    assert list(read_table(tmp_path / "structures.csv")["structure"]) == ["=L5"]


def test_records_of_a_comparison(tmp_path: Path):
    table = pd.DataFrame({"case": ["=a", "b"], "code": ["1", "2"], "name": ["+L5", "L4"], "dice": [0.25, -0.5]})
    run = Run("Dataset900_Tiny", "2d", "Trainer", "Plans", 0)
    record = RunRecord(run, ("=a", "b"), table, None, table, table)
    record.save(tmp_path)
    for name in ("structures", "instances", "shifts"):
        assert not any(map(runs_as_formula, cells_of(tmp_path / run.name / f"{name}.csv")))
    pd.testing.assert_frame_equal(RunRecord.load(tmp_path, run).structures, table, check_dtype=False)
    assert RunRecord.load(tmp_path, replace(run, fold=1)) is None


def test_evaluated_findings(tmp_path: Path):
    table = pd.DataFrame({"case": ["=a"], "structure": ["L5"], "finding": ["@x"], "truth": [1.0]})
    write_finding_evaluation(FindingEvaluation(pd.DataFrame({"n": [1]}), None, table, ""), tmp_path)
    assert not any(map(runs_as_formula, cells_of(tmp_path / "findings_evaluation.csv")))


def test_reports_that_begin_with_a_dash_come_back(tmp_path: Path):
    _write_reports([("0001", "- L4/5 disc bulge"), ("0002", "=HYPERLINK(1)")], tmp_path / "reports.csv")
    assert not any(map(runs_as_formula, cells_of(tmp_path / "reports.csv")))
    assert read_reports(tmp_path / "reports.csv", "report") == ["- L4/5 disc bulge.", "=HYPERLINK(1)."]


def test_what_follows_a_carriage_return_is_no_cell_of_its_own(tmp_path: Path):
    write_rows([("a", "b"), ("x\r=1+1", "y")], tmp_path / "rows.csv")
    write_table(pd.DataFrame({"a": ["x\r=1+1"], "b": ["y"]}), tmp_path / "table.csv")
    for name in ("rows.csv", "table.csv"):
        assert cells_of(tmp_path / name) == ["a", "b", "x\r=1+1", "y"]


def test_rows_are_written_whole_or_not_at_all(tmp_path: Path):
    def rows():
        yield ("a", "b")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_rows(rows(), tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == []


def test_no_other_module_writes_csv_with_texts():
    """The two logs of pretraining hold numbers only."""
    writers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"to_csv\(|csv\.(writer|DictWriter)\(", path.read_text(encoding="utf-8"))
    }
    assert writers == {"csv_cells.py", "pretraining/image_loop.py", "pretraining/text_loop.py"}
