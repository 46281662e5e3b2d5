"""Label maps that users write down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nnunet_textguided.dataset_conversion.label_maps.from_json import OUR_NAMES, read_label_map
from nnunet_textguided.errors import UserError


def write(folder: Path, content: object) -> Path:
    path = folder / "map.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_codes_alone_or_with_a_name_and_a_licence(tmp_path: Path) -> None:
    codes = {"0": "background", "7": "L5", "8": "L5/S", "60": "background"}
    plain = read_label_map(write(tmp_path, codes), OUR_NAMES)
    assert (plain.name, dict(plain.codes), list(plain.background)) == ("map", {7: "L5", 8: "L5/S"}, [60])
    full = read_label_map(write(tmp_path, {"name": "mine", "licence": "CC0", "codes": codes}), OUR_NAMES)
    assert (full.name, full.licence, full.codes) == ("mine", "CC0", plain.codes)
    assert "T9" in full.missing


def test_nnunets_own_way_of_writing_labels_is_understood(tmp_path: Path) -> None:
    expected = {1: "L5", 2: "L4", 3: "L4"}
    assert read_label_map(write(tmp_path, {"background": 0, "L5": 1, "L4": [2, 3]})).codes == expected
    assert read_label_map(write(tmp_path, {"labels": {"L5": 1, "L4": [2, 3]}, "numTraining": 3})).codes == expected


def test_other_names_are_for_other_label_sets(tmp_path: Path) -> None:
    path = write(tmp_path, {"1": "Anterior", "2": "Posterior"})
    assert read_label_map(path).codes == {1: "Anterior", 2: "Posterior"}
    with pytest.raises(UserError, match="code 1: 'Anterior' is not a structure"):
        read_label_map(path, OUR_NAMES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "got a list"),
        ({"codes": {}}, "expected"),
        ({"codes": {"1": "L5"}, "labels": "L5"}, "got 'labels'"),
        ({"codes": "L5"}, "expected"),
        ({"L5": "one"}, "codes from 0 to 65535, got 'L5'"),
        ({"L5": -1}, "got -1"),
        ({"L5": 1.5}, "got 1.5"),
        ({"L5": 1, "L4": [2, 1]}, "code 1 stands there twice"),
        ({"-1": "L5"}, "got '-1'"),
        ({"70000": "L5"}, "got '70000'"),
        ({"1": "L5", "01": "L4"}, "code 1 stands there twice"),
        ({"1": ""}, "expected a name for code 1"),
        ({"1": 5, "2": "L5"}, "expected a name for code 1"),
        ({"1": 5}, "code 5: '1' is not a structure"),
        ({"0": "L5"}, "code 0 is background"),
        ({"1": "L5-S"}, "Did you mean L5/S?"),
        ({"1": "vertebra L4"}, "Did you mean L4?"),
        ("{", "not valid JSON"),
    ],
)
def test_bad_maps_are_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(UserError) as refusal:
        read_label_map(write(tmp_path, content), OUR_NAMES)
    assert message in str(refusal.value)
