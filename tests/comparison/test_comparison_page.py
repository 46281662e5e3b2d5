from __future__ import annotations

import base64
import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from toy_comparison import LABELS, changed, relabelled, toy_comparison

from nnunet_textguided.comparison.figures.case_lines import case_lines
from nnunet_textguided.comparison.figures.draw_all import draw_figures
from nnunet_textguided.comparison.figures.illustration import Illustration
from nnunet_textguided.comparison.page import SECTIONS, comparison_page, write_page
from nnunet_textguided.comparison.summary_words import summary_words
from nnunet_textguided.errors import UserError

VOID = {"meta", "img", "br", "link", "input", "hr"}
EVIL = '"><script>alert(1)</script>&'


class Reader(HTMLParser):
    """Reads a page into tags, attributes and tables; complains about tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._caption = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[re.sub(r"Table \d+\. ", "", self._caption)] = self._rows

    def handle_data(self, data):
        if "caption" in self.open:
            self._caption += data
        elif self.open and self.open[-1] in ("td", "th"):
            self._rows[-1][-1] += data

    def every(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def toy():
    return toy_comparison()


@pytest.fixture(scope="module")
def figures(toy):
    return draw_figures(toy)


@pytest.fixture(scope="module")
def page(toy, figures) -> str:
    return comparison_page(toy, figures)


def test_page_is_one_whole_file_that_fetches_nothing(page: str):
    reader = Reader(page)
    assert page.startswith("<!doctype html>")
    assert not reader.every("script")
    assert not reader.every("link")
    assert [tag for tag, attributes in reader.tags if any(name.startswith("on") for name in attributes)] == []
    links = [attributes["href"] for attributes in reader.every("a")]
    assert links
    assert {link.removeprefix("#") for link in links} <= {a["id"] for _, a in reader.tags if "id" in a}
    assert all(attributes["src"].startswith("data:image/") for attributes in reader.every("img"))
    without_data = re.sub(r'src="data:[^"]*"', "", page)
    assert "http" not in without_data.replace("http-equiv", "")
    assert "url(" not in without_data


def test_page_is_written_with_figures_and_pictures(toy, tmp_path: Path):
    parts = [Illustration(name, "cases", name, "not drawn", "", None) for name in ("figure", "picture")]
    path = write_page(toy, parts[:1], parts[1:], tmp_path / "new" / "page.html")
    assert path.read_text(encoding="utf-8") == comparison_page(toy, parts)


def test_every_figure_is_embedded_with_caption_and_alternative_text(page: str, figures):
    images = Reader(page).every("img")
    assert len(images) == len(figures)
    sources = [base64.b64decode(image["src"].split(",")[1]) for image in images]
    assert all(b"<svg" in source and b"http-equiv" not in source for source in sources)
    assert [image["alt"] for image in images] == [figure.alt for figure in figures]
    for number, figure in enumerate(figures, start=1):
        assert f"<b>Figure {number}. {html.escape(figure.title)}.</b> {html.escape(figure.caption)}" in page


def test_summary_notes_rules_and_hashes_are_on_the_page(page: str, toy):
    assert f'<p class="summary">{html.escape(summary_words(toy))}</p>' in page
    for sentence in (*toy.notes, *toy.rules):
        assert f"<li>{sentence}</li>" in page
    assert '<td>runs / a / fingerprints / splits</td><td class="value">' + "f" * 64 in page
    assert '<td>versions / numpy</td><td class="value">2.0</td>' in page


def test_number_of_cases_and_rule_for_empty_structures_stand_below_every_table(page: str):
    tables = len(Reader(page).tables) - 1  # provenance is no table of results
    below = "20 cases. A structure in the truth but not in the prediction scores 0 (missed"
    assert page.count(f'</table></div>\n<p class="rules">{below}') == tables == 10


def test_tables_hold_the_numbers_of_the_comparison(page: str, toy):
    tables = Reader(page).tables
    head, *rows = tables["Segmentation: mean ± standard deviation over cases"]
    assert [row[0] for row in rows] == list(LABELS)
    for row, (_, truth) in zip(rows, toy.overall.iterrows(), strict=True):
        assert row[head.index("mIoU")] == f"{truth['miou_mean']:.3f} ± {truth['miou_sd']:.3f}"
        assert row[head.index("HD95 (mm)")] == f"{truth['hd95_mm_mean']:.2f} ± {truth['hd95_mm_sd']:.2f}"
    assert [row[head.index("mIoU: SD of repeats")] for row in rows] == ["0.010", "-", "-"]

    head, *rows = tables["Paired statistics: Text-guided minus the other system"]
    assert len(rows) == len(toy.statistics)
    first = toy.statistics.iloc[0]
    assert rows[0][head.index("difference (95 % interval)")] == (
        f"{first['difference']:.3f} ({first['low']:.3f} to {first['high']:.3f})"
    )
    assert rows[0][head.index("Wilcoxon P")] == "< 0.001"

    head, *rows = tables["IoU by structure: mean ± standard deviation over cases"]
    assert head == ["structure", "cases", *LABELS]
    assert [row[0] for row in rows] == ["S", "L5/S", "L5", "L4/L5", "L4", "L3/L4", "L3"]
    cell = toy.structures.set_index(["system", "structure"]).loc[("nnU-Net", "L4/L5")]
    assert rows[3][4] == f"{cell['iou']:.3f} ± {cell['iou_sd']:.3f}"

    rows = tables["HD95 (mm) by structure: mean ± standard deviation over cases"]
    assert [row[2] for row in rows[1:3]] == ["3.25 ± 1.00 (2 missed)", "3.25 ± 1.00"]


def test_statistics_stand_beside_what_they_are_of(toy):
    row = {"system": "nnU-Net", "n": 18, "dropped": 2, "difference": 0.1, "low": 0.05, "high": 0.2}
    group = {**row, "measure": "hd95_mm_upper", "wilcoxon_p": 0.01, "wilcoxon_p_holm": 0.02}
    finding = {**row, "measure": "finding_auroc", "bootstrap_p": 0.03, "bootstrap_p_holm": 0.06}
    table = pd.concat([toy.statistics, pd.DataFrame([group, finding])])
    tables = Reader(comparison_page(changed(toy, statistics=table), [])).tables
    minus = ": Text-guided minus the other system"
    assert len(tables[f"Paired statistics{minus}"]) == 1 + len(toy.statistics)
    assert tables[f"Paired statistics of groups{minus}"][1:] == [
        ["HD95 (mm), upper", "nnU-Net", "18 (2 dropped)", "0.10 (0.05 to 0.20)", "0.010", "0.020"]
    ]
    head, only = tables[f"Statistics of all findings{minus}"]
    assert head[-2:] == ["bootstrap P", "after Holm"], "tests that do not apply have no column"
    assert only == ["AUROC of findings", "nnU-Net", "18 (2 dropped)", "0.100 (0.050 to 0.200)", "0.030", "0.060"]


def test_costs_that_were_not_measured_are_a_dash(page: str):
    head, *rows = Reader(page).tables["Costs"]
    assert [row[head.index("training, s per epoch")] for row in rows] == ["-"] * 3
    assert [row[head.index("parameters (million)")] for row in rows] == ["28.60", "27.60", "26.60"]


def test_findings_stand_together_by_finding_and_spider_by_measure(page: str):
    tables = Reader(page).tables
    rows = tables["Findings (95 % interval)"][1:]
    assert [row[:2] for row in rows[:3]] == [
        ["disc bulge", "Text-guided"],
        ["disc bulge", "Visual only"],
        ["Modic change", "Text-guided"],
    ]
    (spider,) = (rows for title, rows in tables.items() if title.startswith("SPIDER"))
    assert spider[0] == ["measure", *LABELS]
    assert spider[1] == ["Dice, vertebrae", *["0.900 ± 0.050"] * 3]
    assert spider[2] == ["share of cases with a level shift", *["0.100"] * 3]
    assert len(spider) == 3, "a score without any value is no row"


def test_upper_against_lower_is_a_table_of_its_own(toy):
    row = {"system": "nnU-Net", "n": 20, "upper_mean": 0.7, "upper_sd": 0.1, "lower_mean": 0.9, "lower_sd": 0.05}
    row |= {"difference": -0.2, "low": -0.25, "high": -0.15, "wilcoxon_p": 0.01, "t_p": 0.02, "d_z": 2, "cohens_d": 1}
    tables = Reader(comparison_page(changed(toy, upper_lower=pd.DataFrame([row])), [])).tables
    assert tables["Dice of upper against lower structures"][1] == [
        *("nnU-Net", "20", "0.700 ± 0.100", "0.900 ± 0.050", "-0.200 (-0.250 to -0.150)", "0.010", "0.020", "2.00"),
        "1.00",
    ]


@pytest.mark.parametrize("old", [LABELS[0], LABELS[2]])
def test_labels_are_escaped_wherever_they_stand(toy, old: str):
    named = relabelled(toy, old, EVIL)
    evil = changed(named, notes=(EVIL,), rules=(EVIL,) * 3, provenance={EVIL: EVIL})
    page = comparison_page(evil, [Illustration("f", "costs", EVIL, EVIL, EVIL, case_lines(evil).figure)])
    reader = Reader(page)
    assert not reader.every("script")
    assert reader.every("img")[0]["alt"] == EVIL
    assert EVIL not in page
    assert html.escape(EVIL) in page


def test_one_case_without_findings_pictures_or_spider_is_still_a_page():
    one = changed(toy_comparison(LABELS[:2], cases=1, findings=False), spider=None, notes=(), provenance={})
    page = comparison_page(one, [case_lines(one)])
    titles = list(Reader(page).tables)
    assert "there are no statistics" in page
    assert not any(word in title for title in titles for word in ("Paired", "Findings", "SPIDER"))
    assert f"<h2>{SECTIONS['findings']}</h2>" not in page
    assert f"<h2>{SECTIONS['cases']}</h2>" not in page


def test_a_picture_that_could_not_be_drawn_is_a_sentence(toy):
    note = Illustration("case_best", "cases", "The best case", "not drawn, as <x> is not on this machine.", "", None)
    page = comparison_page(toy, [note])
    assert '<p class="soft">The best case: not drawn, as &lt;x&gt; is not on this machine.</p>' in page
    assert not Reader(page).every("img")


def test_a_page_that_cannot_be_written_is_a_users_error(toy, tmp_path: Path):
    (tmp_path / "page.html" / "in the way").mkdir(parents=True)
    with pytest.raises(UserError, match=r"Could not write .*page\.html"):
        write_page(toy, [], [], tmp_path / "page.html")
