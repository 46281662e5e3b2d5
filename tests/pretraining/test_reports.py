from __future__ import annotations

import json

import pandas as pd
import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.pieces import cut_into_pieces, halves, sentences_of
from nnunet_textguided.pretraining.reports import clean_report, read_reports

TWO = ["Disc bulge at L4/L5.", "No herniation."]


@pytest.mark.parametrize(
    ("typed", "clean"),
    [
        ("L4-5: bulge noted  // torn   annulus", "L4-5: bulge noted. torn annulus."),
        ("LSS MRI :\r\nmuscle spasm \n\n", "LSS MRI: muscle spasm."),
        ("A&amp;B <br/> c_x000D_d", "A&B c. d."),
        ("bulge ,  mild..", "bulge, mild."),
        ("ﬁne – ½", "fine – 1⁄2."),
        ("  // - // ", ""),
    ],
)
def test_reports_become_plain_sentences(typed, clean):
    assert clean_report(typed) == clean


def test_cleaning_a_clean_report_changes_nothing():
    once = clean_report("LSS MRI :\nbulge , L4/L5 //spasm")
    assert clean_report(once) == once


@pytest.mark.parametrize("kind", ["csv", "tsv", "cp1252.csv", "jsonl", "strings.jsonl", "folder"])
def test_every_format_gives_the_same_reports(tmp_path, kind):
    texts = [*TWO, TWO[0], "Bandscheibenvorfall, größer."]
    path = tmp_path / f"reports.{kind}"
    table = pd.DataFrame({"Patient ID": [1, 2, 3, 4], "Clinician's Notes": texts})
    if kind in ("csv", "cp1252.csv"):
        table.to_csv(path, index=False, encoding="cp1252" if "cp" in kind else "utf-8")
    elif kind == "tsv":
        table.to_csv(path, index=False, sep="\t")
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps({"id": 1, "report": text}) for text in texts))
    elif kind == "strings.jsonl":
        path.write_text("\n".join(map(json.dumps, texts)))
    else:
        path.mkdir()
        for number, text in enumerate(texts):
            (path / f"{number}.txt").write_text(text, encoding="utf-8")
    assert read_reports(path) == [*TWO, "Bandscheibenvorfall, größer."]


def test_a_table_of_a_spreadsheet(tmp_path):
    pd.DataFrame({"n": [1, 2], "text": TWO}).to_excel(tmp_path / "a.xlsx", index=False)
    assert read_reports(tmp_path / "a.xlsx") == TWO


def test_cells_without_text_are_left_out_and_a_named_column_is_taken(tmp_path):
    path = tmp_path / "a.csv"
    pd.DataFrame({"note": ["x " * 50, "y " * 60, None, "5"], "b": [*TWO, None, "7"]}).to_csv(path, index=False)
    assert read_reports(path, "b") == TWO
    assert len(read_reports(path)) == 2


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        ("a,b\n1,2\n3,4\n", None, "holds text"),
        ("a,b\none text,2\nother text,4\n", "c", "no column 'c'"),
        ("a\nsame text\nsame text\n", None, "two different reports"),
        ("", None, "not a table"),
    ],
)
def test_bad_tables_are_errors(tmp_path, content, column, message):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        read_reports(path, column)


def test_bad_sources_are_errors(tmp_path):
    with pytest.raises(UserError, match="not there"):
        read_reports(tmp_path / "no.csv")
    with pytest.raises(UserError, match="found none"):
        read_reports(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\nnot json\n')
    with pytest.raises(UserError, match="line 2"):
        read_reports(tmp_path / "a.jsonl")
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(UserError, match="jsonl"):
        read_reports(tmp_path / "a.doc")


def words(text: str) -> int:
    return len(text.split())


def test_pieces_hold_whole_sentences_where_they_fit():
    report = "One two three. Four five. Six seven eight nine. Ten."
    assert cut_into_pieces(report, words, 5) == ["One two three. Four five.", "Six seven eight nine. Ten."]


@pytest.mark.parametrize("longest", [1, 2, 3, 7, 100])
def test_pieces_fit_and_lose_no_word(longest):
    report = "One two three four five six; seven eight. " * 3
    pieces = cut_into_pieces(report.strip(), words, longest)
    assert max(map(words, pieces)) <= longest
    assert " ".join(pieces).split() == report.split()


def test_halves_of_a_report():
    assert halves(sentences_of("One. Two. Three.")) == ("One.", "Two. Three.")
    assert halves(sentences_of("One.")) is None
