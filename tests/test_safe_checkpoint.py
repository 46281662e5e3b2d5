"""Whatever of ours opens an nnU-Net checkpoint or pickle: a file that would run code is refused and does not run."""

from __future__ import annotations

import argparse
import json
import pickle
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_files import Bomb, arm_checkpoint, armed_pickle
from toy_model import IN_PROCESS, make_text_guided, toy_volume, write_model_folder

from nnunet_textguided.cli.main import main
from nnunet_textguided.cli.train import _FLAGS, _WITH_VALUE, checkpoints_of, options_parser
from nnunet_textguided.comparison.checkpoint import read_checkpoint
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.run_state import state_of
from nnunet_textguided.comparison.training_job import TrainingOptions, train
from nnunet_textguided.errors import UserError
from nnunet_textguided.inference import TextGuidedPredictor
from nnunet_textguided.inference.ensemble import ensemble_predictions
from nnunet_textguided.inference.model_folder import check_model_folder, has_findings, load_predictor
from nnunet_textguided.inference.postprocess import load_steps
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.safe_checkpoint import TRUST_VARIABLE, UntrustedFileError, check_checkpoints, open_checkpoint
from nnunet_textguided.safe_pickle import load_small_pickle
from nnunet_textguided.safe_plans import check_plans
from nnunet_textguided.trainers import TextGuidedTrainer

REFUSED = r"was not opened: it wants to load .*exec.*--trust"


@pytest.fixture(autouse=True)
def _trust_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUST_VARIABLE, "")


@pytest.fixture
def marker(tmp_path: Path):
    """Is not there, before and after, unless a test says so."""
    path = tmp_path / "code was run"
    yield path
    assert not path.exists()


@pytest.fixture
def hostile_model(tmp_path: Path, marker: Path) -> Path:
    folder = write_model_folder(tmp_path / "m")
    arm_checkpoint(folder / "fold_0" / "checkpoint_final.pth", marker)
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Path:
    import SimpleITK as sitk

    (tmp_path / "images").mkdir()
    sitk.WriteImage(toy_volume(), str(tmp_path / "images" / "a_0000.nii.gz"))
    return tmp_path / "images"


def checkpoint_as_nnunet_logs(path: Path) -> Path:
    """The kinds of values that a checkpoint of nnU-Net 2.8.1 was found to hold."""
    content = {
        "network_weights": {"a": torch.ones(2)},
        "optimizer_state": {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "dice_per_class_or_region": [[np.float32(0.25)]]},
        "_best_ema": np.float64(0.75),
        "init_args": {"device": torch.device("cpu"), "unpack_dataset": True},
        "inference_allowed_mirroring_axes": (0, 1),
    }
    torch.save(content, path)
    return path


def test_what_nnunet_writes_is_read_with_its_values(tmp_path: Path):
    content = open_checkpoint(checkpoint_as_nnunet_logs(tmp_path / "c.pth"))
    assert content["_best_ema"] == 0.75
    assert content["logging"] == {"mean_fg_dice": [0.5], "dice_per_class_or_region": [[0.25]]}
    assert content["inference_allowed_mirroring_axes"] == (0, 1)
    assert torch.equal(content["network_weights"]["a"], torch.ones(2))


def test_the_allow_list_holds_only_while_a_checkpoint_is_opened(tmp_path: Path):
    path = checkpoint_as_nnunet_logs(tmp_path / "c.pth")
    open_checkpoint(path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


def test_code_is_not_run_and_file_and_name_are_said(tmp_path: Path, marker: Path):
    path = arm_checkpoint(tmp_path / "c.pth", marker)
    with pytest.raises(UntrustedFileError, match=f"{re.escape(str(path))} {REFUSED}"):
        open_checkpoint(path)


@pytest.mark.parametrize("by_variable", [False, True])
def test_trust_lets_the_file_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_variable: bool):
    path = arm_checkpoint(tmp_path / "c.pth", tmp_path / "ran")
    monkeypatch.setenv(TRUST_VARIABLE, "1" if by_variable else "")
    assert open_checkpoint(path, trust=not by_variable)["current_epoch"] == 1
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04.", pickle.dumps({"a": 1}), b"{}" * 50])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "c.pth").write_bytes(content)
    with pytest.raises(UserError, match="is not a checkpoint of nnU-Net"):
        open_checkpoint(tmp_path / "c.pth")


def test_old_torch_is_refused_because_its_check_could_be_got_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = checkpoint_as_nnunet_logs(tmp_path / "c.pth")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(UserError, match=r"torch 2\.6 or newer"):
        check_checkpoints([path])


def test_predict_refuses(hostile_model: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(UntrustedFileError, match=REFUSED):
        predict_folder(hostile_model, images, tmp_path / "out", settings=IN_PROCESS)
    command = ["predict", "-i", str(images), "-o", str(tmp_path / "out"), "-m", str(hostile_model), "-f", "0"]
    assert main([*command, "-device", "cpu", "-npp", "0", "-nps", "0"]) == 2
    assert re.search(REFUSED, capsys.readouterr().err)


def test_predict_with_trust_predicts(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("nnUNet_compile", "f")
    folder = write_model_folder(tmp_path / "m")
    arm_checkpoint(folder / "fold_0" / "checkpoint_final.pth", tmp_path / "ran")
    predict_folder(folder, images, tmp_path / "out", settings=replace(IN_PROCESS, trust=True))
    assert (tmp_path / "ran").exists()
    assert (tmp_path / "out" / "a.nii.gz").is_file()


def test_python_refuses(hostile_model: Path):
    with pytest.raises(UntrustedFileError, match=REFUSED):
        TextGuidedPredictor.from_model_folder(hostile_model, device="cpu")
    with pytest.raises(UntrustedFileError, match=REFUSED):
        load_predictor(check_model_folder(hostile_model))


def test_looking_for_findings_refuses(tmp_path: Path, marker: Path):
    folder = make_text_guided(tmp_path / "m")
    (file,) = folder.rglob("checkpoint_final.pth")
    arm_checkpoint(file, marker)
    with pytest.raises(UntrustedFileError, match=REFUSED):
        has_findings(check_model_folder(folder))


@pytest.mark.parametrize("name", ["subprocess.Popen", "torch.os.system", "torch.nn.modules.module.warnings", 3])
def test_plans_that_would_start_a_program_are_refused(tmp_path: Path, marker: Path, name: object):
    """nnU-Net calls what `nonlin` names with what `nonlin_kwargs` holds."""
    folder = write_model_folder(tmp_path / "m")
    plans = json.loads((folder / "plans.json").read_text())
    arguments = plans["configurations"]["2d"]["architecture"]["arch_kwargs"]
    arguments.update(nonlin=name, nonlin_kwargs={"args": ["touch", str(marker)]})
    (folder / "plans.json").write_text(json.dumps(plans))
    with pytest.raises(UntrustedFileError, match=rf"plans\.json was not opened: it wants to load {name}"):
        load_predictor(check_model_folder(folder))


def test_a_network_that_is_no_torch_module_is_refused(tmp_path: Path):
    for name in (
        "subprocess.Popen",
        "nnunetv2.training.nnUNetTrainer.nnUNetTrainer.nnUNetTrainer",
        None,
        "PlainConvUNet",
    ):
        plans = {"configurations": {"2d": {"architecture": {"network_class_name": name, "arch_kwargs": {}}}}}
        with pytest.raises(UntrustedFileError, match=f"wants to load {name}"):
            check_plans(plans, tmp_path / "plans.json")
        check_plans(plans, tmp_path / "plans.json", trust=True)


def test_only_file_names_are_taken_for_checkpoints(tmp_path: Path):
    with pytest.raises(UserError, match="file name of a checkpoint"):
        check_model_folder(write_model_folder(tmp_path / "m"), 0, "../fold_0/checkpoint_final.pth")


def test_postprocessing_refuses_any_function_but_nnunets_own(tmp_path: Path, marker: Path):
    from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation

    with pytest.raises(UntrustedFileError, match=REFUSED):
        load_steps(armed_pickle(tmp_path / "postprocessing.pkl", marker))
    own = ([remove_all_but_largest_component_from_segmentation], [{"labels_or_regions": (1, 2)}])
    (tmp_path / "own.pkl").write_bytes(pickle.dumps(own))
    assert load_steps(tmp_path / "own.pkl") == own


def test_ensemble_refuses_before_nnunet_unpickles(tmp_path: Path, marker: Path):
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        (folder / "plans.json").write_text("{}")
        (folder / "dataset.json").write_text('{"labels": {"background": 0, "L5": 1}, "file_ending": ".nii.gz"}')
        np.savez(folder / "case.npz", probabilities=np.zeros((2, 1, 1, 1)))
        armed_pickle(folder / "case.pkl", marker)
    with pytest.raises(UntrustedFileError, match=REFUSED):
        ensemble_predictions(folders, tmp_path / "out")


def test_properties_as_nnunet_writes_them_are_read(tmp_path: Path):
    properties = {
        "sitk_stuff": {"spacing": (1.0, 1.0, 4.0), "direction": (1.0,) * 9},
        "spacing": [np.float64(4.0), 1.0],
        "bbox_used_for_cropping": [[np.int64(0), 6]],
        "class_locations": {1: np.arange(8).reshape(2, 4)},
    }
    for protocol in (2, 4, 5):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(properties, protocol))
        found = load_small_pickle(tmp_path / "a.pkl", "properties")
        np.testing.assert_array_equal(found.pop("class_locations")[1], properties["class_locations"][1])
        assert found == {name: value for name, value in properties.items() if name in found}


def test_a_large_pickle_is_refused_unread(tmp_path: Path):
    with open(tmp_path / "a.pkl", "wb") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(UserError, match="1074 MB"):
        load_small_pickle(tmp_path / "a.pkl", "properties")


def test_comparison_refuses_to_read_its_costs_and_its_state(tmp_path: Path, marker: Path):
    run = Run("Dataset900_Tiny", "2d", "Trainer", "Plans", 0)
    path = arm_checkpoint(run.fold_folder(tmp_path) / "checkpoint_latest.pth", marker)
    with pytest.raises(UntrustedFileError, match=REFUSED):
        read_checkpoint(path)
    for name in ("plans.json", "dataset.json"):
        (run.model_folder(tmp_path) / name).write_text("{}")
    with pytest.raises(UntrustedFileError, match=REFUSED):
        state_of(run, tmp_path, ["a"])


def test_a_training_of_a_comparison_refuses_to_go_on(tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(tmp_path))
    run = Run("Dataset900_Tiny", "2d", "Trainer", "Plans", 0)
    arm_checkpoint(run.fold_folder(tmp_path) / "checkpoint_latest.pth", marker)
    with pytest.raises(UntrustedFileError, match=REFUSED):
        train(run, TrainingOptions("cpu", threads=torch.get_num_threads()), tmp_path / "records")


def test_our_trainers_refuse_to_go_on_also_under_nnunets_own_command(tmp_path: Path, marker: Path):
    trainer = object.__new__(TextGuidedTrainer)
    trainer.local_rank, trainer.output_folder = 0, str(tmp_path)
    with pytest.raises(UntrustedFileError, match=REFUSED):
        trainer.load_checkpoint(str(arm_checkpoint(tmp_path / "checkpoint_latest.pth", marker)))


@pytest.fixture
def training(tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Fold 0 of a model holds a hostile checkpoint; nnU-Net's training is noted, not run."""
    import nnunetv2.run.run_training as module

    called: list[list[str]] = []
    monkeypatch.setattr(module, "run_training_entry", lambda: called.append(sys.argv[1:]))
    monkeypatch.setattr(sys, "argv", ["pytest"])
    for name in ("nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(tmp_path / name))
    folder = tmp_path / "nnUNet_preprocessed" / "Dataset900_Tiny"
    folder.mkdir(parents=True)
    (folder / "Plans.json").write_text('{"dataset_name": "Dataset900_Tiny", "plans_name": "Other"}')
    model = tmp_path / "nnUNet_results" / "Dataset900_Tiny" / "nnUNetTrainer__Other__2d"
    arm_checkpoint(model / "fold_0" / "checkpoint_best.pth", marker)
    return called


WORDS = ["Dataset900_Tiny", "2d", "00", "-p", "Plans"]


@pytest.mark.parametrize("words", [[*WORDS, "--c"], [*WORDS, "--val"], ["--val_b", *WORDS]])
def test_train_refuses_to_go_on_with_any_trainer(training, words, capsys):
    assert main(["train", *words]) == 2
    assert re.search(REFUSED, capsys.readouterr().err)
    assert training == []


@pytest.mark.parametrize("option", [["-pretrained_weights", "w.pth"], ["-pretrained_weights=w.pth"]])
def test_train_refuses_pretrained_weights_however_the_option_is_spelled(training, marker, option, capsys):
    arm_checkpoint(Path("w.pth"), marker)
    assert main(["train", *WORDS, *option]) == 2
    assert re.search(REFUSED, capsys.readouterr().err)
    assert training == []


def test_train_with_trust_hands_over_without_the_word(training):
    assert main(["train", *WORDS, "--c", "--trust"]) == 0
    assert training == [[*WORDS, "--c"]]


def test_a_fresh_training_opens_nothing(training):
    assert main(["train", *WORDS]) == 0
    assert checkpoints_of(["--no-such-thing"]) == []


def test_our_reading_of_nnunets_arguments_knows_all_of_them(monkeypatch, capsys):
    from nnunetv2.run.run_training import run_training_entry

    monkeypatch.setattr(sys, "argv", ["nnUNetv2_train", "-h"])
    with pytest.raises(SystemExit):
        run_training_entry()
    listed = set(re.findall(r"^  (-{1,2}[a-z]\w*)", capsys.readouterr().out, re.MULTILINE)) - {"-h"}
    assert listed == {*_WITH_VALUE, *_FLAGS}
    assert isinstance(options_parser(), argparse.ArgumentParser)


def test_the_bomb_goes_off_where_nothing_is_checked(tmp_path: Path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()
