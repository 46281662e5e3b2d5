from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file
from tiny_dataset import SMALL

from nnunet_textguided.cli.plan import preprocessed_configurations
from nnunet_textguided.errors import UserError
from nnunet_textguided.trainers.plan import load_plans, preprocessed_folder, write_text_guided_plans


def encoder_file(path: Path, name: str) -> None:
    state = timm.create_model(name, pretrained=False, in_chans=1).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, str(path))


def test_plans_are_a_copy_under_another_name_that_shares_the_data(tiny_dataset: Path, text_guided_plans: str):
    source = json.loads((tiny_dataset / "nnUNetPlans.json").read_text())
    copy = json.loads((tiny_dataset / f"{text_guided_plans}.json").read_text())
    block = copy.pop("text_guidance")
    assert copy.pop("plans_name") == text_guided_plans == "nnUNetPlansTextGuided"
    assert copy == {key: value for key, value in source.items() if key != "plans_name"}
    assert block["names"] == ["S", "L5", "L5/S"]
    assert block["encoder"] == "convnextv2_atto"
    assert block["mirror_axes"] == {"mode": "auto", "order_fixed_axes": [1]}


def test_existing_plans_are_kept_unless_told(tiny_dataset: Path, text_guided_plans: str):
    before = (tiny_dataset / f"{text_guided_plans}.json").read_bytes()
    with pytest.raises(UserError, match="--overwrite"):
        write_text_guided_plans(tiny_dataset, options=SMALL)
    assert (tiny_dataset / f"{text_guided_plans}.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "convnextv2_ato"}, "convnextv2_atto"),
        ({"text_model": "ViT-B-31", "text_weights": "x"}, "ViT-B-32"),
        ({"text_model": "ViT-B-32", "text_weights": "laion2b_s34b_b79"}, "laion2b_s34b_b79k"),
        ({"encoder_weights": "missing.safetensors"}, "missing.safetensors"),
    ],
)
def test_unknown_names_list_the_near_misses(tiny_dataset: Path, change: dict, message: str):
    with pytest.raises(UserError, match=message):
        write_text_guided_plans(tiny_dataset, name="never_written", options={**SMALL, **change})
    assert not (tiny_dataset / "never_written.json").exists()


def test_plans_note_where_an_encoder_file_comes_from(tiny_dataset: Path, tmp_path: Path):
    encoder_file(tmp_path / "atto.safetensors", "convnextv2_atto")
    options = {**SMALL, "encoder_weights": str(tmp_path / "atto.safetensors")}
    path = write_text_guided_plans(tiny_dataset, name="nnUNetPlansFile", options=options)
    source = json.loads(path.read_text())["text_guidance"]["encoder_source"]
    assert source["source"] == str(tmp_path / "atto.safetensors")
    assert source["licence"] == "not stated in the file"
    path.unlink()


def test_weights_of_an_encoder_of_another_size_are_refused_before_training(tiny_dataset: Path, tmp_path: Path):
    encoder_file(tmp_path / "femto.safetensors", "convnextv2_femto")
    options = {**SMALL, "encoder_weights": str(tmp_path / "femto.safetensors")}
    with pytest.raises(UserError, match=r"not those of the encoder convnextv2_atto: .*has shape"):
        write_text_guided_plans(tiny_dataset, name="never_written", options=options)
    assert not (tiny_dataset / "never_written.json").exists()


@pytest.mark.parametrize("rate", [0.0, -1.0, 2.0])
def test_an_encoder_rate_that_is_no_share_is_an_error(tiny_dataset: Path, rate: float):
    with pytest.raises(UserError, match="factor above 0"):
        write_text_guided_plans(tiny_dataset, name="never_written", options={**SMALL, "encoder_rate": rate})


def test_missing_plans_list_those_that_exist(tiny_dataset: Path):
    with pytest.raises(UserError, match="nnUNetPlans"):
        load_plans(tiny_dataset, "nnUNetResEncUNetMPlans")


def test_unknown_data_set_is_an_error(tiny_dataset: Path):
    with pytest.raises(UserError, match="No data set 899"):
        preprocessed_folder("899")


def test_missing_nnunet_variables_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    with pytest.raises(UserError, match="nnUNet_preprocessed"):
        preprocessed_folder("900")


def test_only_configurations_whose_data_are_there_are_proposed(tmp_path: Path):
    (tmp_path / "thick").mkdir()
    configurations = {"2d": {"data_identifier": "thin"}, "3d_fullres": {"data_identifier": "thick"}, "cascade": {}}
    assert preprocessed_configurations(tmp_path, {"configurations": configurations}) == ["3d_fullres"]
