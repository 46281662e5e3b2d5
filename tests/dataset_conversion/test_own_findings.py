from __future__ import annotations

import json
from pathlib import Path

import pytest

from nnunet_textguided.dataset_conversion.label_maps.spider import spider_labels
from nnunet_textguided.dataset_conversion.own_findings import own_annotations_of, read_own_findings
from nnunet_textguided.errors import UserError
from nnunet_textguided.synthetic.dataset import write_spider_layout
from nnunet_textguided.synthetic.phantom import PhantomSpec

LABELS = ["background", "L5", "L5/S"]
BLOCK = {"bulge": {"term": "bulging", "applies_to": ["L5/S"]}}


def test_phantoms_in_spiders_layout_bring_all_their_findings(tmp_path: Path):
    write_spider_layout(tmp_path, 2, seed=5, spec=PhantomSpec(shape=(3, 160, 96), spacing=(4.0, 2.15, 2.15)))
    block, found = read_own_findings(tmp_path, list(spider_labels(False, "vertebra", "background")))
    assert len(block) == 5
    assert {patient: len(annotations) for patient, annotations in found.items()} == {1: 29, 2: 29}
    assert all((a.point_mm is not None) == bool(a.present) for annotations in found.values() for a in annotations)


def write(folder: Path, rows: str | None, block: object = BLOCK) -> None:
    if rows is not None:
        (folder / "findings.csv").write_text("case,structure,finding,present,x_mm,y_mm,z_mm\n" + rows)
    if block is not None:
        (folder / "findings.json").write_text(json.dumps(block))


def test_findings_of_a_patient_go_to_all_of_its_cases_with_their_place(tmp_path: Path):
    write(tmp_path, "7,L5/S,bulge,1,1,2,3\n8,L5/S,bulge,0,,,\n")
    block, found = read_own_findings(tmp_path, LABELS)
    assert block == BLOCK
    patients = {"spider_007_t1": "spider_007", "spider_007_t2": "spider_007", "spider_009": "spider_009"}
    rows = [(a.case, a.structure, a.present, a.point_mm) for a in own_annotations_of(patients, found)]
    assert rows == [("spider_007_t1", "L5/S", 1, (1, 2, 3)), ("spider_007_t2", "L5/S", 1, (1, 2, 3))]


def test_a_source_without_findings_has_none(tmp_path: Path):
    assert read_own_findings(tmp_path, LABELS) is None


@pytest.mark.parametrize(
    ("rows", "block", "message"),
    [
        ("7,L5/S,bulge,1,,,\n", None, "no findings.json"),
        (None, BLOCK, "no findings.csv"),
        ("7,L5,bulge,1,,,\n", BLOCK, "line 2.*does not apply"),
        ("spider_007,L5/S,bulge,1,,,\n", BLOCK, "number of a patient.*spider_007"),
        ("7,L5/S,bulge,1,,,\n07,L5/S,bulge,0,,,\n", BLOCK, "written one way"),
        ("7,L5/S,bulge,1,,,\n", ["bulge"], "expected findings as in dataset.json"),
    ],
)
def test_findings_that_cannot_be_meant_so_are_errors(tmp_path: Path, rows, block, message):
    write(tmp_path, rows, block)
    with pytest.raises(UserError, match=message):
        read_own_findings(tmp_path, LABELS)
