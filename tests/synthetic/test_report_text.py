from __future__ import annotations

import json

import pytest

from nnunet_textguided.synthetic.findings_plan import plan_findings
from nnunet_textguided.synthetic.reports import write_report, write_report_file

SIGNS = {
    "disc extrusion": ("extru", "no extru"),
    "disc protrusion": ("protru", "no protru", "no focal protru"),
}


@pytest.mark.parametrize("seed", range(5))
def test_present_findings_are_written_and_absent_ones_only_denied(seed):
    text = write_report(seed).lower()
    for finding, (word, *denials) in SIGNS.items():
        present = sum(p for _, name, p in plan_findings(seed) if name == finding)
        denied = sum(text.count(denial) for denial in denials)
        said = sum(word in sentence for sentence in text.split("."))
        assert said - denied == present


def test_reports_differ_and_are_repeatable():
    texts = [write_report(seed) for seed in range(50)]
    assert len(set(texts)) == 50
    assert texts[3] == write_report(3)


def test_every_level_is_named_from_one_end_to_the_other():
    text = write_report(1)
    levels = [level for level in ("L5", "L4", "L3", "L2", "L1") if level in text]
    assert len(levels) == 5


def test_a_file_of_reports(tmp_path):
    path = write_report_file(tmp_path / "a.jsonl", 3)
    assert [set(json.loads(line)) for line in path.read_text().splitlines()] == [{"report"}] * 3
