"""A model's plans.json and dataset.json: any content gives a loaded model or a UserError."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from fuzzing import COMMON, SLOW, documents, modest, survives
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_model import make_text_guided, write_model_folder

from nnunet_textguided.inference.model_folder import ModelFolderError, check_model_folder, has_findings, load_predictor

FAST = settings(max_examples=6, **COMMON)
"""Networks are built."""
CASES = [(kind, name) for kind in ("stock", "text-guided") for name in ("plans.json", "dataset.json")]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of nnU-Net's own trainer, and one of ours with findings."""
    folder = tmp_path_factory.mktemp("models")
    return {"stock": write_model_folder(folder / "stock"), "text-guided": make_text_guided(folder / "text")}


def load(folder: Path, name: str, data: st.DataObject) -> None:
    sound = (folder / name).read_bytes()
    (folder / name).write_bytes(data.draw(documents(json.loads(sound))))
    try:
        model = survives(lambda: check_model_folder(folder))
        if model is None:
            return
        assert model.num_channels > 0
        survives(lambda: has_findings(model))
        if modest(model.plans["configurations"]):
            survives(lambda: load_predictor(model, device=torch.device("cpu")))
    finally:
        (folder / name).write_bytes(sound)


@pytest.mark.parametrize(("kind", "name"), CASES)
@FAST
@given(data=st.data())
def test_any_content_gives_a_model_or_a_user_error(kind: str, name: str, data: st.DataObject, models):
    load(models[kind], name, data)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), CASES)
@SLOW
@given(data=st.data())
def test_any_content_gives_a_model_or_a_user_error_at_length(kind: str, name: str, data: st.DataObject, models):
    load(models[kind], name, data)


def test_the_sound_models_load(models):
    for folder in models.values():
        model = check_model_folder(folder)
        assert model.num_channels == 1
        assert load_predictor(model, device=torch.device("cpu")).network is not None


@pytest.mark.parametrize(
    ("name", "entry", "value"),
    [
        ("plans.json", "configurations", {"2d": 3}),
        ("dataset.json", "channel_names", 3),
        ("dataset.json", "modality", [1]),
    ],
)
def test_an_entry_of_another_form_is_named(tmp_path: Path, name: str, entry: str, value: object):
    folder = write_model_folder(tmp_path / "m")
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, entry: value}))
    with pytest.raises(ValueError, match=rf"{name}.*{entry.removesuffix('s')}.*got"):
        check_model_folder(folder)


def test_what_nnunet_stumbles_over_is_told_with_the_model(tmp_path: Path):
    folder = write_model_folder(tmp_path / "m")
    plans = json.loads((folder / "plans.json").read_text())
    plans["configurations"]["2d"]["architecture"]["arch_kwargs"]["strides"] = None
    (folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(ModelFolderError, match=r"The model in .*m .*does not load: \w+Error: "):
        load_predictor(check_model_folder(folder), device=torch.device("cpu"))
