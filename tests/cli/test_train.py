"""`nnunet_textguided train` is nnUNetv2_train with our trainers found."""

from __future__ import annotations

import os
import sys

import pytest

from nnunet_textguided.cli.main import main
from nnunet_textguided.ext_path import VARIABLE, lists_ext_dir
from nnunet_textguided.nnunet_paths import PURPOSES, require_paths


@pytest.fixture
def entry(monkeypatch, tmp_path):
    """Stand in for nnU-Net's training and note the arguments it would have read."""
    run_training = pytest.importorskip("nnunetv2.run.run_training")
    calls = []
    monkeypatch.setattr(run_training, "run_training_entry", lambda: calls.append((sys.argv[1:], os.environ[VARIABLE])))
    monkeypatch.setattr(sys, "argv", ["pytest"])
    for name in PURPOSES:
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv(VARIABLE, "")
    return calls


def test_arguments_arrive_word_for_word_and_trainers_are_found(entry):
    words = ["501", "2d", "0", "-tr", "TextGuidedTrainer_short", "-p", "nnUNetPlansTextGuided", "-device", "cpu", "--c"]
    assert main(["train", *words]) == 0
    [(arguments, variable)] = entry
    assert arguments == words
    assert lists_ext_dir(variable)


@pytest.mark.parametrize("missing", ["nnUNet_preprocessed", "nnUNet_results"])
def test_missing_variable_stops_before_anything_runs(entry, monkeypatch, capsys, missing):
    monkeypatch.delenv(missing)
    assert main(["train", "501", "2d", "0"]) == 2
    assert entry == []
    error = capsys.readouterr().err
    assert f"export {missing}=" in error
    assert error.count("export") == 1


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_nnunets_own_and_needs_no_variables(monkeypatch, capsys, flag):
    for name in PURPOSES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(sys, "argv", ["pytest"])
    with pytest.raises(SystemExit) as stopped:
        main(["train", flag])
    assert stopped.value.code == 0
    assert "--disable_checkpointing" in capsys.readouterr().out


def test_folders_come_back_by_name(monkeypatch, tmp_path):
    monkeypatch.setenv("nnUNet_raw", str(tmp_path))
    assert require_paths("nnUNet_raw") == {"nnUNet_raw": tmp_path}
