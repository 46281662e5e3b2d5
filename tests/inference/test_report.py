from __future__ import annotations

import html
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.cli.main import main
from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.report import report_folder
from nnunet_textguided.inference.report_page import NOTICE, report_page
from nnunet_textguided.inference.report_picture import FindingBox, choose_slices, draw_report


def box(number: int, low: tuple, high: tuple) -> FindingBox:
    return FindingBox(number, low, high)


@pytest.fixture
def labels() -> np.ndarray:
    volume = np.zeros((9, 60, 40), np.uint8)
    volume[2:7, 5:25, 10:30], volume[3:6, 30:50, 10:30] = 1, 2
    return volume


def test_without_findings_the_fullest_slice_is_shown(labels: np.ndarray):
    assert choose_slices(labels, []) == [3]


def test_further_slices_show_findings_the_first_does_not(labels: np.ndarray):
    hidden = [box(1, (7, 5, 5), (8, 9, 9)), box(2, (8, 30, 5), (8, 33, 9)), box(3, (0, 5, 5), (0, 9, 9))]
    assert choose_slices(labels, [*hidden, box(4, (2, 5, 5), (4, 9, 9))]) == [0, 3, 8]


def test_no_more_than_three_slices(labels: np.ndarray):
    boxes = [box(n, (n, 5, 5), (n, 9, 9)) for n in (0, 1, 7, 8)]
    assert len(choose_slices(labels, boxes)) == 3


def test_a_box_is_drawn_where_the_finding_is(labels: np.ndarray):
    image = np.zeros(labels.shape, np.float32)
    names = {1: "L5", 2: "S"}
    plain, boxed = (
        matplotlib.image.imread(io.BytesIO(draw_report(image, labels, names, (4.0, 1.0, 1.0), boxes)))
        for boxes in ([], [box(1, (3, 35, 12), (3, 40, 18))])
    )
    rows, columns = np.nonzero((np.abs(plain - boxed) > 0.2).any(-1))
    height, width = plain.shape[:2]
    assert 0.5 < rows.mean() / height < 0.75  # rows 35 to 40 of 60, below a head
    assert 0.2 < columns.mean() / width < 0.55


class Checker(HTMLParser):
    """Counts what a browser would have to fetch, and tags that are left open."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.fetched += [v for k, v in attrs if k in ("src", "href") and not v.startswith("data:")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def content(case: str = "case <1>") -> dict:
    finding = {"structure": "L4/L5", "finding": "bulge & more", "threshold": 0.4, "centroid_mm": [1.2, -3.4, 5.6]}
    return {
        "case": case,
        "model": {"folder": "T__P__2d", "folds": [0, 1]},
        "findings": [
            {**finding, "probability": 0.83, "present": True},
            {**finding, "structure": "L5/S", "probability": 0.1, "present": False},
        ],
        "structures": [{"structure": "L5", "volume_mm3": 25_300.0, "extent_mm": [50, 40, 30]}],
    }


def test_page_stands_alone_and_is_well_formed():
    checker = Checker()
    page = report_page(content(), b"png")
    checker.feed(page)
    assert checker.open == []
    assert checker.fetched == []
    assert "<script" not in page


def test_page_shows_what_was_found_and_by_what_and_that_it_is_no_medical_device():
    page = report_page(content(), b"png")
    for expected in ("case &lt;1&gt;", "bulge &amp; more", "83 %", "width:83.0%", "left:40.0%", "T__P__2d", NOTICE):
        assert expected in page
    assert page.count('class="present"') == 1
    assert "25.3" in page


def test_page_has_a_look_for_dark_rooms_and_for_paper():
    page = report_page(content(), b"png")
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


@pytest.fixture
def predicted(tmp_path: Path, labels: np.ndarray) -> Path:
    """A prediction folder and its images, in an orientation that is not the picture's."""
    for folder in ("pred", "images"):
        (tmp_path / folder).mkdir()
    names = {"labels": {"background": 0, "L5": 1, "S": 2}, "file_ending": ".nii.gz"}
    (tmp_path / "pred" / "dataset.json").write_text(json.dumps(names))
    volume = sitk.GetImageFromArray(labels)
    volume.SetSpacing((1.0, 1.0, 4.0))
    volume.SetDirection((0, 0, -1, 1, 0, 0, 0, -1, 0))
    place = volume.TransformIndexToPhysicalPoint((14, 36, 3))
    findings = content("c1")
    for finding in findings["findings"]:
        finding["box_mm"] = [place, place]
    (tmp_path / "pred" / "c1_findings.json").write_text(json.dumps(findings))
    turned = sitk.DICOMOrient(volume, "LPS")
    sitk.WriteImage(turned, str(tmp_path / "pred" / "c1.nii.gz"))
    sitk.WriteImage(sitk.Cast(turned, sitk.sitkFloat32), str(tmp_path / "images" / "c1_0000.nii.gz"))
    return tmp_path


def test_command_writes_a_page_and_a_picture_for_every_case(predicted: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(predicted / "pred"), str(predicted / "images")]) == 0
    assert "1 reports" in capsys.readouterr().out
    reports = predicted / "pred" / "reports"
    assert (reports / "c1.html").read_text().startswith("<!doctype html>")
    picture = matplotlib.image.imread(reports / "c1.png")
    red = (picture[..., 0] > 0.9) & (picture[..., 1] < 0.45) & (picture[..., 2] < 0.45)
    assert red.sum() > 50  # the boxed finding


def test_folder_without_findings_says_how_to_get_them(tmp_path: Path):
    with pytest.raises(UserError, match="--findings"):
        report_folder(tmp_path, tmp_path, tmp_path / "out")


def test_missing_image_is_named(predicted: Path):
    (predicted / "images" / "c1_0000.nii.gz").unlink()
    with pytest.raises(UserError, match=r"c1_0000\.nii\.gz"):
        report_folder(predicted / "pred", predicted / "images", predicted / "out")


EVIL = "\"><script>alert('x')</script>{0}{{y}}%s&"


def test_names_are_escaped_wherever_they_stand():
    finding = {"structure": EVIL, "finding": EVIL, "probability": 0.5, "threshold": 0.5, "present": True}
    finding |= {"centroid_mm": [1, 2, 3]}
    structure = {"structure": EVIL, "volume_mm3": 1.0, "extent_mm": [1.0, 2.0, 3.0]}
    content = {"case": EVIL, "model": {EVIL: EVIL}, "findings": [finding], "structures": [structure]}
    page = report_page(content, b"")
    assert "<script" not in page
    assert page.count(html.escape(EVIL)) == 7  # title and heading, two of the finding, the structure, the model's two


def test_a_name_with_dollars_is_drawn_as_it_is(labels: np.ndarray):
    image = np.zeros(labels.shape, np.float32)
    pictures = [draw_report(image, labels, {1: name, 2: "S"}, (4.0, 1.0, 1.0), []) for name in (r"$\frac$", r"$x")]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
