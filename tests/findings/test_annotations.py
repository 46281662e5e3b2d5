from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import Annotation, FindingAnnotations, read_findings, write_findings
from nnunet_textguided.findings.vocabulary import FindingVocabulary

STRUCTURES = ("L5", "L4", "L4/L5")
BLOCK = {
    "bulge": {"term": "bulging of the disc", "applies_to": ["L4/L5"]},
    "fracture": {"applies_to": ["L5", "L4"]},
}
VOCABULARY = FindingVocabulary.from_block(BLOCK, STRUCTURES)
HEADER = "case,structure,finding,present,x_mm,y_mm,z_mm\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "findings.csv"
    path.write_text(text)
    return path


def test_vocabulary_lists_every_decision_once():
    assert VOCABULARY.sites() == [("L4/L5", "bulge"), ("L5", "fracture"), ("L4", "fracture")]
    np.testing.assert_array_equal(VOCABULARY.applicable(), [[0, 1], [0, 1], [1, 0]])


def test_term_defaults_to_the_name():
    assert VOCABULARY.terms == ("bulging of the disc", "fracture")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"term": "x"}, "applies_to"),
        ({"applies_to": []}, "at least one structure"),
        ({"applies_to": "L5"}, "at least one structure"),
        ({"applies_to": ["L9"]}, "L9"),
        ({"applies_to": ["L5", "L5"]}, "twice"),
        ({"applies_to": ["L5"], "treshold": 1}, "treshold"),
        ("L5", "expected"),
    ],
)
def test_malformed_finding_is_refused_by_name(entry: object, message: str):
    with pytest.raises(UserError, match=message) as caught:
        FindingVocabulary.from_block({"bulge": entry}, STRUCTURES)
    assert "'bulge'" in str(caught.value)


def test_finding_named_like_a_structure_is_refused():
    with pytest.raises(UserError, match="also the name of a structure"):
        FindingVocabulary.from_block({"L5": {"applies_to": ["L4"]}}, STRUCTURES)


def test_status_tells_present_absent_and_not_assessed(tmp_path: Path):
    path = write(tmp_path, HEADER + "a,L4/L5,bulge,1,1.5,-2,3\na,L5,fracture,0,,,\n")
    findings = read_findings(path, VOCABULARY, {"a", "b"})
    np.testing.assert_array_equal(findings.status("a", VOCABULARY), [[-1, 0], [-1, -1], [1, -1]])
    np.testing.assert_array_equal(findings.status("b", VOCABULARY), np.full((3, 2), -1))
    assert findings.of_case("a")[0].point_mm == (1.5, -2.0, 3.0)


def test_status_for_some_of_the_findings_leaves_the_others_out(tmp_path: Path):
    path = write(tmp_path, HEADER + "a,L4/L5,bulge,1,,,\na,L5,fracture,0,,,\n")
    fewer = FindingVocabulary.from_block({"fracture": BLOCK["fracture"]}, STRUCTURES)
    np.testing.assert_array_equal(read_findings(path, VOCABULARY).status("a", fewer), [[0], [-1], [-1]])


def test_written_file_reads_back_equal(tmp_path: Path):
    rows = [Annotation("a", "L5", "fracture", 1, (1.0, 2.25, -3.5)), Annotation("b", "L4/L5", "bulge", 0)]
    write_findings(rows, tmp_path / "findings.csv")
    back = read_findings(tmp_path / "findings.csv", VOCABULARY)
    assert [back.of_case(case)[0] for case in back.cases()] == rows


@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        ("a,L4/L5,buldge,1,,,\n", 2, "buldge"),
        ("a,L9,fracture,1,,,\n", 2, "L9"),
        ("a,L5,bulge,1,,,\n", 2, "does not apply"),
        ("c,L5,fracture,1,,,\n", 2, "no case 'c'"),
        ("a,L5,fracture,2,,,\n", 2, "1 or 0"),
        ("a,L5,fracture,,,,\n", 2, "not assessed"),
        ("a,L5,fracture,1,1.0,,\n", 2, "three coordinates"),
        ("a,L5,fracture,1,1.0,nan,2\n", 2, "finite"),
        ("a,L5,fracture\n", 2, "fewer cells"),
        ("a,L5,fracture,1,,,\nb,L4,fracture,0,,,\na,L5,fracture,0,,,\n", 4, "line 2"),
    ],
)
def test_bad_row_is_refused_with_its_line(tmp_path: Path, rows: str, line: int, message: str):
    with pytest.raises(UserError, match=message) as caught:
        read_findings(write(tmp_path, HEADER + rows), VOCABULARY, {"a", "b"})
    assert f"line {line}" in str(caught.value)


def test_rows_that_agree_count_once_and_keep_the_point(tmp_path: Path):
    path = write(tmp_path, HEADER + "a,L5,fracture,1,,,\na,L5,fracture,1,1,2,3\n")
    (only,) = read_findings(path, VOCABULARY).of_case("a")
    assert only.point_mm == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("text", ["", HEADER, "case,structure,present\n", "case,structure,finding,present,x_mm\n"])
def test_empty_file_or_wrong_header_is_refused(tmp_path: Path, text: str):
    with pytest.raises(UserError, match=r"findings\.csv"):
        read_findings(write(tmp_path, text), VOCABULARY)


def test_file_that_is_no_text_is_refused(tmp_path: Path):
    path = tmp_path / "findings.csv"
    path.write_bytes(b"\xff\xfe\x00case")
    with pytest.raises(UserError, match="UTF-8"):
        read_findings(path, VOCABULARY)


def test_case_without_rows_is_no_error():
    assert FindingAnnotations([]).of_case("anything") == []
