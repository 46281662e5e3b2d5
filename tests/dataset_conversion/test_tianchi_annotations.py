from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from pathlib import Path

import pytest

from nnunet_textguided.dataset_conversion.tianchi_annotations import read_annotations
from nnunet_textguided.errors import UserError


def point(level: str, x: int = 5, y: int = 6, **tag: str) -> dict:
    return {"tag": {"identification": level, **tag}, "coord": [x, y], "zIndex": 3}


def study(*points: dict, uid: str = "1.2.3") -> dict:
    annotation = [{"annotator": 1, "data": {"point": list(points)}}]
    data = [{"seriesUid": f"{uid}.4", "instanceUid": f"{uid}.4.5", "annotation": annotation}]
    return {"studyUid": uid, "version": "v0.1", "data": data}


def write(tmp_path: Path, *studies: dict) -> list[Path]:
    (tmp_path / "annotation.json").write_text(json.dumps(studies))
    return [tmp_path / "annotation.json"]


def test_codes_become_a_decision_each(tmp_path: Path):
    paths = write(tmp_path, study(point("L4-L5", disc="v5,v2"), point("L3", vertebra="v1")))
    studies, problems = read_annotations(paths)
    disc, vertebra = studies["1.2.3"].points
    assert problems == {}
    assert disc.structure == "L4/L5"
    assert dict(disc.decisions()) == {"disc bulge": 1, "disc protrusion": 0, "disc extrusion": 0, "Schmorl node": 1}
    assert vertebra.decisions() == [("vertebral degeneration", 0)]


def test_of_two_keys_the_one_that_fits_the_level_counts(tmp_path: Path):
    paths = write(tmp_path, study(point("L5-S1", disc="v3", vertebra=""), point("L5", disc="", vertebra="v2")))
    disc, vertebra = read_annotations(paths)[0]["1.2.3"].points
    assert (disc.codes, vertebra.codes) == (("v3",), ("v2",))


def test_a_disc_without_code_is_not_assessed_and_an_odd_level_is_left_out(tmp_path: Path):
    paths = write(tmp_path, study(point("L1-L2", disc=""), point("T11-T12", disc="v1")))
    found = read_annotations(paths)[0]["1.2.3"]
    assert found.points[0].decisions() == []
    assert found.points[1].structure is None
    assert len(found.notes) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "v0.2"}, "version 'v0.2', expected 'v0.1'"),
        ({"data": []}, "not written as the release"),
        ({"data": None}, "not written as the release"),
    ],
)
def test_a_study_of_another_form_is_named_and_the_rest_is_read(tmp_path: Path, change: dict, message: str):
    other = {**study(uid="9.9"), **change}
    studies, problems = read_annotations(write(tmp_path, other, study(point("L1", vertebra="v1"))))
    assert list(studies) == ["1.2.3"]
    assert message in next(iter(problems.values()))
    assert "9.9" in next(iter(problems.values()))


def test_unknown_codes_and_studies_named_twice_are_problems(tmp_path: Path):
    good = study(point("L1", vertebra="v1"))
    bad = study(point("L1", vertebra="v9"), uid="8.8")
    studies, problems = read_annotations(write(tmp_path, good, bad, deepcopy(good)))
    assert list(studies) == ["1.2.3"]
    assert sorted(problem.split(" study ")[1] for problem in problems.values()) == [
        "1.2.3 is annotated twice; the first one counts",
        "8.8 has the unknown code v9 at L1; known are v1, v2",
    ]


def test_other_json_is_an_error(tmp_path: Path):
    (tmp_path / "annotation.json").write_text('{"a": 1}')
    with pytest.raises(UserError, match="expected a list of studies"):
        read_annotations([tmp_path / "annotation.json"])


def test_the_real_files_hold_the_counts_of_the_release(real_data: Path):
    """Figures: counted once by other means over the two files (150 and 51 studies)."""
    studies, problems = read_annotations(sorted((real_data / "tianchi_annotations").glob("*annotation.json")))
    assert len(studies) == 201
    assert problems == {}
    counts = Counter(
        ("-" in point.identification, code)
        for found in studies.values()
        for point in found.points
        for code in point.codes
    )
    assert counts == {
        (True, "v1"): 535,
        (True, "v2"): 300,
        (True, "v3"): 285,
        (True, "v4"): 47,
        (True, "v5"): 64,
        (False, "v1"): 191,
        (False, "v2"): 814,
    }
    present = Counter(
        finding for found in studies.values() for p in found.points for finding, there in p.decisions() if there
    )
    assert present == {
        "disc bulge": 300,
        "disc protrusion": 285,
        "disc extrusion": 47,
        "Schmorl node": 64,
        "vertebral degeneration": 814,
    }
