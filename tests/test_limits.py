"""Files that are too large or nested too deeply are refused before they are parsed, in little memory."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nnunet_textguided.csv_cells import read_table
from nnunet_textguided.dataset_conversion.base.tables import read_rows
from nnunet_textguided.dataset_conversion.tianchi_annotations import read_annotations
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json, parse_json
from nnunet_textguided.findings.annotations import read_findings
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.limits import LIMIT_VARIABLE, MAX_DEPTH, read_limited
from nnunet_textguided.pretraining.reports import read_reports
from nnunet_textguided.sheets import read_sheet
from nnunet_textguided.text.bank import TextBank, load_bank, save_bank

VOCABULARY = FindingVocabulary(("L5",), ("bulge",), ("bulge",), (("L5",),))
READERS: dict[str, Callable[[Path], Any]] = {
    "a.json": load_json,
    "tianchi.json": lambda path: read_annotations([path]),
    "findings.csv": lambda path: read_findings(path, VOCABULARY),
    "evaluated.csv": read_table,
    "train.csv": lambda path: list(read_rows(path, ("study_id",))),
    "reports.csv": read_reports,
    "reports.jsonl": read_reports,
    "reports.txt": read_reports,
    "reports.xlsx": read_sheet,
    "bank.safetensors": load_bank,
}


@pytest.mark.parametrize("name", READERS)
def test_a_gigabyte_is_refused_unread_and_the_limit_is_said(tmp_path: Path, name: str):
    path = tmp_path / name
    with path.open("wb") as stream:
        stream.truncate(1 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=rf"{name} holds 1074 MB, at most \d+ MB .*{LIMIT_VARIABLE}"):
            READERS[name](path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_the_variable_sets_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.json"
    path.write_text(json.dumps("x" * 2000))
    monkeypatch.setenv(LIMIT_VARIABLE, "0.001")
    with pytest.raises(UserError, match=r"at most 0\.001 MB"):
        load_json(path)
    monkeypatch.setenv(LIMIT_VARIABLE, "0.003")
    assert load_json(path) == "x" * 2000


@pytest.mark.parametrize("value", ["much", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv(LIMIT_VARIABLE, value)
    (tmp_path / "a.json").write_text("1")
    with pytest.raises(UserError, match=LIMIT_VARIABLE):
        load_json(tmp_path / "a.json")


def test_a_file_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "0.01")
    with pytest.raises(UserError, match="holds more"):
        read_limited("/dev/zero", 64)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
@pytest.mark.parametrize("closed", [True, False])
def test_a_depth_of_ten_thousand_is_refused(tmp_path: Path, opening: str, closed: bool):
    closing = opening.replace('"a":', "")[::-1].translate(str.maketrans("[{", "]}"))
    (tmp_path / "a.json").write_text(opening * 10_000 + "1" + (closing * 10_000 if closed else ""))
    with pytest.raises(UserError, match=f"more than {MAX_DEPTH} deep"):
        load_json(tmp_path / "a.json")


def test_the_deepest_that_is_read(tmp_path: Path):
    (tmp_path / "a.json").write_text("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    content = load_json(tmp_path / "a.json")
    for _ in range(MAX_DEPTH - 1):
        (content,) = content
    assert content == []
    (tmp_path / "a.json").write_text("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))
    with pytest.raises(UserError, match="deep"):
        load_json(tmp_path / "a.json")


def test_brackets_in_texts_do_not_count():
    for text in ("[" * 500, '\\"[{' * 200, "\\\\" * 3 + '"[[' * 200):
        assert parse_json(json.dumps([text, {"a": text}]), "x") == [text, {"a": text}]


def test_many_lists_side_by_side_are_not_deep():
    content = [[{"a": [1]}]] * 1000
    assert parse_json(json.dumps(content), "x") == content


@pytest.mark.parametrize("text", ["1" * 5000, '"\\ud800"', '{"\\udc00": 1}', "\xff", "", "nul"])
def test_what_json_cannot_hold_is_refused(tmp_path: Path, text: str):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"a\.json is not valid JSON"):
        load_json(tmp_path / "a.json")


def test_whole_characters_outside_the_first_plane_are_read():
    assert parse_json('"\\ud83d\\ude00"', "x") == "\U0001f600"


def test_a_folder_in_the_place_of_a_file_is_said(tmp_path: Path):
    with pytest.raises(UserError, match="cannot be read"):
        load_json(tmp_path)


def test_a_spreadsheet_that_unpacks_to_a_gigabyte_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "reports.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sharedStrings.xml", bytes(2_000_000))
    monkeypatch.setenv(LIMIT_VARIABLE, "1")
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UserError, match="unpacks to 2 MB"):
        read_sheet(path)


FAR_OUT = [
    '<row r="1048576"><c r="A1048576"/></row><row><c r="XFD1048577"/></row>',
    "<row r='2e6'>" + "<c/>" * 9 + "</row>",
    '<row r="1"><c r="&#88;&#70;&#68;1"/></row><row r="70000"/>',
    '<row r="100000000"/><c',
]


@pytest.mark.parametrize("rows", FAR_OUT, ids=["by name", "cells without a name", "escaped", "cut off"])
def test_a_spreadsheet_whose_cells_lie_far_out_is_refused_before_the_table_between_is_made(tmp_path: Path, rows: str):
    path = tmp_path / "reports.xlsx"
    pd.DataFrame({"report": ["a note", "another"]}).to_excel(path, index=False)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"].decode()
    assert len(read_sheet(path)) == 2
    parts["xl/worksheets/sheet1.xml"] = sheet.replace("</sheetData>", f"{rows}</sheetData>").encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match=r"reports\.xlsx: its cells reach to row .*Delete what lies far out"):
        read_sheet(path)


def test_a_bank_of_many_names_is_checked_in_little_time(tmp_path: Path):
    """Counting each name anew would take 25 million comparisons."""
    names = tuple(map(str, range(5000)))
    vectors = np.random.default_rng(0).normal(size=(len(names), 2)).astype(np.float32)
    save_bank(TextBank(vectors, names, names, tuple((name,) for name in names), "m"), tmp_path / "b.safetensors")
    assert load_bank(tmp_path / "b.safetensors").names == names
