from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
KINDS = ("a loss", "an image encoder", "a text model", "a finding", "a data set", "a baseline")


def named_files(text: str) -> list[str]:
    """Links, and what stands in backticks and looks like a path of the checkout."""
    quoted = [name for name in re.findall(r"`([\w./-]+)`", text) if "/" in name or name.endswith((".py", ".toml"))]
    return sorted({*quoted, *re.findall(r"\]\(([\w./-]+)\)", text)})


@pytest.mark.parametrize("name", named_files(PAGE))
def test_every_file_that_the_page_names_is_there(name: str):
    assert (ROOT / name).exists()


def test_the_page_names_two_files_or_more_for_every_kind_of_addition():
    rows = {row.split("|")[1].strip(): row for row in PAGE.splitlines() if row.startswith("| ")}
    for kind in KINDS:
        assert len(named_files(rows[kind])) >= 2, kind


def test_names_that_are_no_files_are_told_from_those_that_are():
    assert named_files("`plan --encoder`, `SharedRecipe`, `a/b.py`, [x](docs/y.md), `setup.py`") == [
        "a/b.py",
        "docs/y.md",
        "setup.py",
    ]
