from __future__ import annotations

import math

import pytest

from nnunet_textguided.comparison.html_table import Table, count, interval, probability, value, words
from nnunet_textguided.comparison.measure_words import digits_of, lower_is_better, measure_name, number, p_value


@pytest.mark.parametrize(
    ("measure", "name", "lower"),
    [
        ("miou", "mIoU", False),
        ("hd95_mm", "HD95 (mm)", True),
        ("hd95_mm_discs", "HD95 (mm), discs", True),
        ("dice_upper", "Dice, upper", False),
        ("finding_fpr", "FPR of findings", True),
        ("finding_average_precision", "average precision of findings", False),
        ("asd_official_mm_canal", "ASD, official code (mm), canal", True),
        ("level_shift_share", "share of cases with a level shift", False),
    ],
)
def test_measures_have_names_and_directions(measure: str, name: str, lower: bool):
    assert measure_name(measure) == name
    assert lower_is_better(measure) is lower


def test_numbers_are_rounded_and_what_is_missing_is_a_dash():
    assert [number(0.12345), number(3, 0), number(None), number(math.nan), number(-0.0001)] == [
        *("0.123", "3", "-", "-", "0.000")
    ]
    assert [p_value(0.0009), p_value(0.001), p_value(1.0), p_value(math.nan)] == ["< 0.001", "0.001", "1.000", "-"]
    assert [digits_of("dice_upper"), digits_of("hd95_mm_upper")] == [3, 2]


def test_cells_print_spread_limits_and_counts():
    row = {"a": 0.5, "sd": 0.25, "low": 0.1, "high": 0.9, "n": 3.0, "half": 1.5, "p": 0.0001, "none": None}
    cells = {
        "0.500 ± 0.250": value("a", "", sd="sd"),
        "0.50": value("a", "", 2, sd="none"),
        "0.500 (0.100 to 0.900)": interval("", "low", "high", mean="a"),
        "0.500": interval("", "none", "high", mean="a"),
        "3": count("n"),
        "1.5": count("half"),
        "< 0.001": probability("p", ""),
        "-": words("none"),
    }
    assert [column.text(row) for column in cells.values()] == list(cells)


def test_table_escapes_and_marks_the_reference():
    rows = [{"system": "<b>&"}, {"system": "other"}]
    html = Table('a "title" <', [words("system", "sys>tem")], rows, marked="<b>&", rules=["1 < 2."]).html("Table 1")
    assert '<tr class="reference"><td>&lt;b&gt;&amp;</td></tr>' in html
    assert "<tr><td>other</td></tr>" in html
    assert "a &quot;title&quot; &lt;" in html
    assert "sys&gt;tem" in html
    assert '<p class="rules">1 &lt; 2.</p>' in html
