"""Label files that ITK-SNAP and 3D Slicer read: parsed back the way their documentation says."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from nnunet_textguided.dataset_conversion.completion.label_colours import write_label_colours
from nnunet_textguided.dataset_conversion.completion.plausibility import Doubt
from nnunet_textguided.dataset_conversion.completion.review import CaseReview, write_review
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import spine_labels
from nnunet_textguided.inference.overlay import colour

LABELS = spine_labels(ignore=True)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    itksnap, slicer = write_label_colours(LABELS, LABELS["ignore"], tmp_path)
    assert (itksnap.name, slicer.name) == ("labels_itksnap.txt", "labels_slicer.ctbl")
    return itksnap.read_text(), slicer.read_text()


def content(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_itksnap_reads_codes_colours_and_names(files: tuple[str, str]) -> None:
    line = re.compile(r'(\d+) (\d+) (\d+) (\d+) ([01]) ([01]) ([01]) "([^"]*)"')
    entries = [line.fullmatch(text).groups() for text in content(files[0])]
    assert entries[0] == ("0", "0", "0", "0", "0", "0", "0", "Clear Label")
    assert {name: int(code) for code, *_, name in entries[1:]} == {n: c for n, c in LABELS.items() if c}
    assert all(shown == ("1", "1", "1") for *_, a, vis, msh, _ in entries[1:] for shown in [(a, vis, msh)])


def test_slicer_reads_codes_names_and_colours(files: tuple[str, str]) -> None:
    assert files[1].startswith("# Color table file ")
    entries = [text.split(" ") for text in content(files[1])]
    assert all(len(entry) == 6 for entry in entries)
    assert {name: int(code) for code, name, *_ in entries} == LABELS
    assert entries[0] == ["0", "background", "0", "0", "0", "0"]
    assert all(0 <= int(value) <= 255 for entry in entries for value in entry[2:])
    assert all(entry[5] == "255" for entry in entries[1:])


def test_both_have_the_colours_of_our_pictures_and_neighbours_differ(files: tuple[str, str]) -> None:
    snap = {int(t.split()[0]): tuple(map(int, t.split()[1:4])) for t in content(files[0])}
    slicer = {int(t.split()[0]): tuple(map(int, t.split()[2:5])) for t in content(files[1])}
    assert snap == slicer
    assert snap[4] == tuple(round(255 * value) for value in colour(4))
    assert snap[LABELS["ignore"]] == (128, 128, 128)
    upwards = [LABELS[name] for name in ("S", "L5/S", "L5", "L4/L5", "L4", "L3/L4", "L3", "L2/L3", "L2")]
    for first, second in itertools.pairwise(upwards):
        assert max(abs(a - b) for a, b in zip(snap[first], snap[second], strict=True)) > 50


def test_names_with_blanks_and_quotes_stay_readable(tmp_path: Path) -> None:
    itksnap, slicer = write_label_colours({"background": 0, 'left "big"  kidney': 1}, None, tmp_path)
    assert content(itksnap.read_text())[1].endswith('''"left 'big' kidney"''')
    assert content(slicer.read_text())[1].split()[1] == 'left_"big"_kidney'


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_cell_of_the_review_is_a_formula(tmp_path: Path, start: str) -> None:
    path = write_review([CaseReview(f"{start}cmd", (Doubt("volume", f"{start}1+1"),))], tmp_path)
    assert path.read_text().splitlines()[1] == f"'{start}cmd,1,1,'{start}1+1"
