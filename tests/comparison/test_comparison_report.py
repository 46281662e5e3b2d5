"""Scoring, the check of fairness and the tables come one after the other, and everything lands in one folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nnunet_textguided.comparison import case_pictures, comparison, markdown, page, report, tables_out
from nnunet_textguided.comparison.figures import draw_all, illustration
from nnunet_textguided.comparison.grid import Grid, System

GRID = Grid("Dataset900_Tiny", "2d", (0,), (System("A", "T", ("P",)),))


@dataclass(frozen=True)
class Tables:
    grid: Grid = GRID
    notes: tuple = ("of the tables",)
    made_of: tuple = field(default=())


def test_records_are_checked_before_tables_are_made_and_notes_are_kept(monkeypatch):
    steps = []

    def step(name, result):
        return lambda *args: steps.append((name, args)) or result

    monkeypatch.setattr(report, "gather", step("gather", ["record"]))
    monkeypatch.setattr(report, "check_fair", step("check_fair", ["plans differ"]))
    monkeypatch.setattr(comparison, "compare", step("compare", Tables()))
    found = report.compare_grid(GRID, "folders", Path("records"), "options", True, 3)
    assert steps == [
        ("gather", (GRID, "folders", Path("records"), 3)),
        ("check_fair", (GRID, ["record"], True)),
        ("compare", (GRID, ["record"], "options")),
    ]
    assert found.notes == ("of the tables", "plans differ")


@pytest.mark.parametrize(("pictures", "drawn"), [(True, ["figure", "case"]), (False, ["figure"])])
def test_everything_is_written_into_one_folder(monkeypatch, pictures, drawn):
    monkeypatch.setattr(draw_all, "draw_figures", lambda comparison: ["figure"])
    monkeypatch.setattr(case_pictures, "case_pictures", lambda comparison, folders: ["case"])
    monkeypatch.setattr(markdown, "write_markdown", lambda comparison, path: path)
    monkeypatch.setattr(page, "write_page", lambda comparison, figures, cases, path: path)
    monkeypatch.setattr(tables_out, "write_tables", lambda comparison, folder: [folder / "overall.csv"])
    monkeypatch.setattr(
        illustration, "save_illustrations", lambda illustrations, folder: [folder / name for name in illustrations]
    )
    folder = Path("out") / "Dataset900_Tiny_2d"
    written = report.write_comparison(Tables(), "folders", Path("out"), pictures)
    names = ["comparison.md", "comparison.html", "overall.csv", *(f"figures/{name}" for name in drawn)]
    assert written.files == [folder / name for name in names]
