from __future__ import annotations

import dataclasses
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from toy_records import GRID

from nnunet_textguided.comparison.comparison import CompareOptions, compare
from nnunet_textguided.comparison.grid import System
from nnunet_textguided.comparison.markdown import to_markdown, write_markdown
from nnunet_textguided.comparison.markdown_cells import markdown_table, value_with_limits
from nnunet_textguided.comparison.measure_words import measure_name, number, p_value
from nnunet_textguided.comparison.tables_out import TABLES, write_tables
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import without_nan


def sections(text: str) -> dict[str, str]:
    return {part.split("\n", 1)[0]: part.split("\n", 1)[1] for part in text.split("\n## ")[1:]}


def body(section: str) -> list[list[str]]:
    """Cells of a section's table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_every_table_of_the_markdown_has_number_of_cases_and_rule_under_it(comparison):
    parts = sections(to_markdown(comparison))
    tables = {title: part for title, part in parts.items() if "|" in part and title not in ("Rules", "Provenance")}
    assert list(tables) == [
        "Overall",
        "Reference against the others (difference = Reference - other)",
        "Structures (Dice)",
        "Structures (IoU)",
        "Groups (Dice)",
        "Groups (HD95, mm)",
        "Upper against lower structures (Dice)",
        "Findings",
        "Costs",
        "Score of the SPIDER challenge",
    ]
    for part in tables.values():
        assert "*20 cases. A structure in the truth but not in the prediction scores 0" in part
    for rule in comparison.rules:
        assert f"- {rule}" in parts["Rules"]
    provenance = parts["Provenance"].strip().removeprefix("```json").removesuffix("```")
    assert json.loads(provenance)["runs"].keys() == comparison.provenance["runs"].keys()


def test_markdown_shows_the_numbers_of_the_tables(comparison):
    parts = sections(to_markdown(comparison))
    row = comparison.overall.iloc[1]
    cells = body(parts["Overall"])[1]
    assert cells[:3] == ["Repeated", "2", f"{row['miou_mean']:.3f} ± {row['miou_sd']:.3f}"]
    assert cells[7] == f"{row['miou_repeats_sd']:.3f}"
    one = comparison.statistics.iloc[0]
    cells = body(parts["Reference against the others (difference = Reference - other)"])[0]
    expected = f"{one['difference']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
    assert cells[:4] == ["mIoU", "Repeated", "20", expected]
    assert cells[4] == f"{one['wilcoxon_p']:.3f}"
    assert body(parts["Overall"])[3][-1] == "-"  # no findings
    assert body(parts["Costs"])[0][1:6] == ["40000", "1250", "8.5", "0.7", "2.0"]
    assert body(parts["Costs"])[0][6:8] == ["-", "-"]  # never measured
    assert body(parts["Costs"])[0][8:] == ["toy processor", "toy processor"]


def test_markdown_shows_the_score_of_the_challenge(comparison):
    rows = {row[0]: row[1:] for row in body(sections(to_markdown(comparison))["Score of the SPIDER challenge"])}
    table = comparison.spider.set_index("system")
    mean, sd = (table.at["Mute", f"asd_mm_discs_{part}"] for part in ("mean", "sd"))
    assert rows["ASD (mm), discs"][3] == f"{mean:.2f} ± {sd:.2f}"
    assert rows["share of cases with a level shift"][0] == f"{table.at['Reference', 'level_shift_share']:.3f}"
    assert rows["detection rate, overall"][1].startswith(f"{table.at['Repeated', 'detection_overall_mean']:.3f} ± ")


def test_each_row_has_a_cell_for_each_column(comparison):
    for part in sections(to_markdown(comparison)).values():
        lines = [line for line in part.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in lines}) <= 1


def test_a_label_with_a_pipe_breaks_no_table(records):
    grid = dataclasses.replace(GRID, systems=(System("a|b", "RefTrainer", ("plansA",)), *GRID.systems[1:2]))
    silent = [dataclasses.replace(record, findings=None) for record in records]
    text = to_markdown(compare(grid, silent, CompareOptions(bootstrap_repeats=10)))
    assert "| a\\|b | 1 |" in text
    assert "| structure | a\\|b | Repeated |" in text


def test_write_markdown_writes_the_text(comparison, tmp_path):
    path = write_markdown(comparison, tmp_path / "new" / "table.md")
    assert path.read_text(encoding="utf-8") == to_markdown(comparison)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0004, "< 0.001"), (0.0124, "0.012"), (1.0, "1.000"), (math.nan, "-"), (0.001, "0.001")]
)
def test_p_values_have_three_digits(value, text):
    assert p_value(value) == text


def test_what_is_not_there_prints_as_a_dash():
    assert number(None) == number(math.nan) == number(np.float64("nan")) == "-"
    assert number(-math.inf) == "-inf"
    assert value_with_limits(math.nan, math.nan, math.nan) == "-"
    assert value_with_limits(0.0214, 0.01, 0.033) == "0.021 (0.010 to 0.033)"


def test_labels_are_what_people_call_the_measures():
    assert measure_name("miou") == "mIoU"
    assert measure_name("dice_upper") == "Dice, upper"
    assert measure_name("hd95_mm_discs") == "HD95 (mm), discs"
    assert measure_name("finding_auroc") == "AUROC of findings"


def test_markdown_table_by_hand():
    assert markdown_table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_csv_files_hold_the_tables_to_the_last_digit(comparison, tmp_path):
    files = write_tables(comparison, tmp_path / "out")
    assert [file.name for file in files] == [*(f"{name}.csv" for name in TABLES), "rules.txt", "comparison.json"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(file.name for file in files)
    for name in TABLES:
        table = getattr(comparison, name)
        read = pd.read_csv(tmp_path / "out" / f"{name}.csv")
        assert list(read) == list(table)
        assert len(read) == len(table)
        for column in table.select_dtypes("number"):
            np.testing.assert_allclose(read[column].to_numpy(float), table[column].to_numpy(float), rtol=1e-15)
    assert (tmp_path / "out" / "rules.txt").read_text().splitlines()[0].startswith("20 cases")


def test_json_holds_everything_and_null_where_nothing_is_defined(comparison, tmp_path):
    write_tables(comparison, tmp_path)
    text = (tmp_path / "comparison.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    content = json.loads(text)
    assert content["reference"] == "Reference"
    assert len(content["cases"]) == 20
    assert [system["label"] for system in content["grid"]["systems"]] == ["Reference", "Repeated", "Twin", "Mute"]
    for name in TABLES:
        table = getattr(comparison, name)
        assert len(content[name]) == len(table)
        assert list(content[name][0]) == list(table)
    assert content["overall"][0]["miou_mean"] == comparison.overall["miou_mean"][0]
    assert content["overall"][3]["finding_auroc"] is None
    assert content["rules"] == list(comparison.rules)
    assert content["provenance"]["options"]["bootstrap_repeats"] == 25


def test_a_table_of_an_earlier_comparison_does_not_stay(comparison, tmp_path):
    write_tables(comparison, tmp_path)
    files = write_tables(dataclasses.replace(comparison, findings=None, decisions=None), tmp_path)
    assert not (tmp_path / "findings.csv").exists()
    assert tmp_path / "findings.csv" not in files
    assert json.loads((tmp_path / "comparison.json").read_text())["findings"] is None


def test_a_folder_that_cannot_be_made_is_named(comparison, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        write_tables(comparison, tmp_path / "file")


def test_without_nan_reaches_into_everything():
    value = {"a": [np.float64("nan"), (1.5, math.inf)], "b": np.int64(3), "c": None, "d": "nan"}
    assert without_nan(value) == {"a": [None, [1.5, None]], "b": 3, "c": None, "d": "nan"}


def test_markdown_passes_no_tags_on(comparison):
    notes = ["<img src=x onerror=alert(1)>", "p < 0.05"]
    text = to_markdown(dataclasses.replace(comparison, reference='<script>alert("x")</script>', notes=notes))
    assert "\\<script>" in text
    assert "\\<img src=x" in text
    assert "**p < 0.05**" in text
    assert re.search(r"(?<!\\)<[A-Za-z/!?]", text.split("## Provenance")[0]) is None
