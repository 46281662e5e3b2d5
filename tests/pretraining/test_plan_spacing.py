from __future__ import annotations

import json

import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.plan_spacing import spacing_of_plans


@pytest.mark.parametrize(
    ("configurations", "expected"),
    [
        ({"3d_fullres": {"spacing": [4, 1, 2]}, "2d": {"spacing": [0.5, 0.75]}}, (0.5, 0.75)),
        ({"3d_cascade": {"inherits_from": "3d_fullres"}, "3d_fullres": {"spacing": [4, 1, 2]}}, (1.0, 2.0)),
    ],
)
def test_the_in_plane_spacing_of_the_2d_configuration_or_else_of_the_first(tmp_path, configurations, expected):
    path = tmp_path / "nnUNetPlans.json"
    path.write_text(json.dumps({"configurations": configurations}))
    assert spacing_of_plans(path) == expected


def test_another_json_is_no_plans(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {}}))
    with pytest.raises(UserError, match="expected plans of nnU-Net"):
        spacing_of_plans(tmp_path / "dataset.json")
