from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from nnunet_textguided.dataset_conversion.spider import SpiderOptions, convert_spider
from nnunet_textguided.dataset_conversion.spider_gradings import DISCS, gradings, read_gradings
from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import read_findings
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.spine import SPINE_STRUCTURES

HEADER = (
    "Patient,IVD label,Modic,UP endplate,LOW endplate,Spondylolisthesis,"
    "Disc herniation,Disc narrowing,Disc bulging,Pfirrman grade\n"
)


def write(folder: Path, rows: str) -> Path:
    path = folder / "radiological_gradings.csv"
    path.write_text(HEADER + rows)
    return path


def present(decisions: list[tuple[str, str, int]]) -> set[tuple[str, str]]:
    return {(structure, finding) for structure, finding, value in decisions if value}


def test_disc_labels_count_from_the_lowest_disc_upwards(tmp_path: Path):
    path = write(tmp_path, "7,1,0,0,0,0,1,0,0,1\n7,2,0,0,0,0,0,0,1,1\n7,9,0,0,0,1,0,0,0,1\n")
    found = read_gradings(path, gradings())
    assert present(found[7]) == {
        ("L5/S", "disc herniation"),
        ("L4/L5", "disc bulge"),
        ("T9/T10", "spondylolisthesis"),
    }
    assert len(found[7]) == 3 * 8


@pytest.mark.parametrize(("grade", "threshold", "expected"), [(3, 4, 0), (4, 4, 1), (5, 4, 1), (3, 3, 1), (4, 5, 0)])
def test_degeneration_is_a_pfirrmann_grade_from_the_threshold_on(
    tmp_path: Path, grade: int, threshold: int, expected: int
):
    path = write(tmp_path, f"7,1,0,0,0,0,0,0,0,{grade}\n")
    assert ("L5/S", "disc degeneration", expected) in read_gradings(path, gradings(pfirrmann=threshold))[7]


@pytest.mark.parametrize(("kind", "threshold", "expected"), [(0, 1, 0), (1, 1, 1), (1, 2, 0), (3, 2, 1)])
def test_modic_change_is_a_type_from_the_threshold_on(tmp_path: Path, kind: int, threshold: int, expected: int):
    path = write(tmp_path, f"7,1,{kind},0,0,0,0,0,0,1\n")
    assert ("L5/S", "Modic change", expected) in read_gradings(path, gradings(modic=threshold))[7]


def test_discs_that_are_no_structure_are_left_out_and_empty_cells_are_not_assessed(tmp_path: Path):
    path = write(tmp_path, "7,0,0,0,0,0,1,0,0,1\n7,10,0,0,0,0,1,0,0,1\n7,1,,0,0,0,1,0,0,\n")
    found = read_gradings(path, gradings())[7]
    assert {structure for structure, _, _ in found} == {"L5/S"}
    assert not {"Modic change", "disc degeneration"} & {finding for _, finding, _ in found}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("7,1,0,0,0,0,2,0,0,1\n", "line 2: Disc herniation is 0 to 1, got 2"),
        ("7,1,0,0,0,0,0,0,0,0\n", "line 2: Pfirrman grade is 1 to 5, got 0"),
        ("7,1,0,0,0,0,0,0,0,1\n7,one,0,0,0,0,0,0,0,1\n", "line 3: expected a whole number in IVD label"),
        ("7,1,0,0,0,0,0,0,0,1\n7,1,0,0,0,0,0,0,0,1\n", "line 3: patient 7, disc 1"),
    ],
)
def test_a_row_that_cannot_be_meant_so_is_refused_with_its_line(tmp_path: Path, rows: str, message: str):
    with pytest.raises(UserError, match=message):
        read_gradings(write(tmp_path, rows), gradings())


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_separator_encoding_and_spelling_of_the_header_do_not_matter(tmp_path: Path, separator: str, encoding: str):
    path = tmp_path / "radiological_gradings.csv"
    text = HEADER.replace("Pfirrman grade", "PFIRRMANN GRADE") + "7.0,1,0,0,0,0,1,0,0,5\n"
    path.write_bytes(text.replace(",", separator).replace("\n", "\r\n").encode(encoding))
    assert present(read_gradings(path, gradings())[7]) == {("L5/S", "disc herniation"), ("L5/S", "disc degeneration")}


def test_every_row_of_the_real_file_but_those_of_no_disc_becomes_a_decision_a_finding(real_data: Path):
    """The release has 1,520 rows of 218 patients, two with IVD label 0; a part of it may lie here."""
    path = real_data / "spider_mini" / "radiological_gradings.csv"
    with path.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["IVD label"] != "0"]
    found = read_gradings(path, gradings())
    graded = [decision for decisions in found.values() for decision in decisions]
    assert (len(rows), len(found)) in [(1518, 218), (1449, 209)]
    assert len(graded) == 8 * len(rows)
    for finding, column in (("disc bulge", "Disc bulging"), ("disc herniation", "Disc herniation")):
        assert sum(value for _, name, value in graded if name == finding) == sum(int(row[column]) for row in rows)


def test_missing_column_is_named(tmp_path: Path):
    path = tmp_path / "radiological_gradings.csv"
    path.write_text(HEADER.replace("Modic,", "") + "7,1,0,0,0,0,0,0,1\n")
    with pytest.raises(UserError, match="missing are modic"):
        read_gradings(path, gradings())


@pytest.mark.parametrize("options", [{"modic": 0}, {"modic": 4}, {"pfirrmann": 1}, {"pfirrmann": 6}])
def test_thresholds_outside_the_grades_are_refused(options: dict[str, int]):
    with pytest.raises(UserError, match="Modic type of 1 to 3 and a Pfirrmann grade of 2 to 5"):
        SpiderOptions(**options).check()


def test_converter_gives_every_series_its_patients_findings(spider_source: Path, write_series, nnunet_raw: Path):
    for name in ("3_t1", "3_t2", "4_t2"):
        write_series(name)
    write(spider_source, "3,1,0,0,0,0,1,0,0,1\n99,1,0,0,0,0,1,0,0,1\n")
    folder, _ = convert_spider(spider_source, 501)
    block = json.loads((folder / "dataset.json").read_text())["text_guidance"]["findings"]
    vocabulary = FindingVocabulary.from_block(block, SPINE_STRUCTURES)
    assert all(sites == DISCS for sites in vocabulary.applies_to)
    findings = read_findings(folder / "findings.csv", vocabulary)
    assert findings.cases() == ["spider_003_t1", "spider_003_t2"]  # 4 is not assessed, 99 has no image
    for case in findings.cases():
        assert [(a.structure, a.finding) for a in findings.of_case(case) if a.present] == [("L5/S", "disc herniation")]


def test_without_gradings_there_are_no_findings(spider_source: Path, write_series, nnunet_raw: Path):
    write_series("3_t2")
    write_series("4_t2")
    folder, _ = convert_spider(spider_source, 501)
    assert "findings" not in json.loads((folder / "dataset.json").read_text())["text_guidance"]
    assert not (folder / "findings.csv").exists()


def test_real_gradings_have_the_counts_of_the_release(real_data: Path):
    path = real_data / "spider_mini" / "radiological_gradings.csv"
    with path.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if 1 <= int(row["IVD label"]) <= 9]
    found = [decision for decisions in read_gradings(path, gradings()).values() for decision in decisions]
    for column, finding in (("Disc herniation", "disc herniation"), ("Disc bulging", "disc bulge")):
        expected = sum(row[column] == "1" for row in rows)
        assert sum(present for _, name, present in found if name == finding) == expected > 20


def test_a_row_that_ends_too_early_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"line 3: expected a whole number in IVD label, got ''"):
        read_gradings(write(tmp_path, "7,1,0,0,0,0,1,0,0,1\n8\n"), gradings())
