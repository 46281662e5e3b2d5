from __future__ import annotations

import json

import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.plan_spacing import spacing_of_plans
from nnunet_textguided.pretraining.preprocessed_scans import configuration_folder


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


@pytest.mark.parametrize(
    "content",
    ["[]", "3", '{"configurations": 3}', '{"configurations": {"2d": 3}}', '{"configurations": {"2d": {"spacing": 3}}}'],
)
def test_plans_of_another_form_are_refused_by_all_who_read_them(tmp_path, content):
    path = tmp_path / "nnUNetPlans.json"
    path.write_text(content)
    for read in (lambda: spacing_of_plans(path), lambda: configuration_folder(tmp_path)):
        with pytest.raises(UserError, match=r"nnUNetPlans\.json.*expected"):
            read()


def test_data_of_plans_do_not_lead_out_of_their_folder(tmp_path):
    entry = {"spacing": [1, 1], "data_identifier": "../elsewhere"}
    (tmp_path / "nnUNetPlans.json").write_text(json.dumps({"configurations": {"2d": entry}}))
    with pytest.raises(UserError, match=r"nnUNetPlans\.json, configuration '2d', data_identifier"):
        configuration_folder(tmp_path)


def test_another_json_is_no_plans(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {}}))
    with pytest.raises(UserError, match="expected plans of nnU-Net"):
        spacing_of_plans(tmp_path / "dataset.json")
