"""What docs/baselines.md shows is there and runs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch

from nnunet_textguided import trainers
from nnunet_textguided.ext_path import VARIABLE, ext_dir
from nnunet_textguided.inference.model_folder import check_model_folder, has_findings, load_predictor

LENGTHS = ("short", "twice", "quick", "medium")
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "baselines.md").read_text(encoding="utf-8")


def test_the_table_lists_every_system_once():
    rows = re.findall(r"^\| [^|]+ \| `(\w+)` \|", PAGE, flags=re.MULTILINE)
    ours = {name for name in trainers.__all__ if name.split("_")[-1] not in LENGTHS}
    assert len(rows) == len(set(rows))
    assert ours <= set(rows)
    assert set(rows) - ours <= {"nnUNetTrainer", "MixedTransformerUNetTrainer"}


@pytest.fixture
def own_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The page's example, saved as the page says and found by nnU-Net in the second of two folders."""
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    [code] = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    [path] = re.findall(r"Saved as `(\S+)`", PAGE)
    (tmp_path / path).parent.mkdir()
    (tmp_path / path).write_text(code)
    monkeypatch.setenv(VARIABLE, os.pathsep.join([str(ext_dir()), str((tmp_path / path).parent)]))
    [name] = re.findall(r"class (\w+)\(.*nnUNetTrainer\)", code)
    return recursive_find_trainer_class_by_name(name)


def test_the_example_trains_and_its_model_predicts_findings(make_trainer, finding_plans: str, own_trainer):
    torch.manual_seed(0)
    trainer = make_trainer(own_trainer, plans=finding_plans)
    trainer.num_epochs = 1
    trainer.run_training()
    model = check_model_folder(trainer.output_folder_base)
    assert has_findings(model)
    predictor = load_predictor(model, device=torch.device("cpu"))
    with torch.no_grad():
        maps = predictor.network(torch.zeros(1, 1, 32, 32))
    assert maps.shape == (1, 4 + 2, 32, 32)


def test_the_example_trains_without_findings_as_well(make_trainer, results: Path, own_trainer):
    trainer = make_trainer(own_trainer)
    trainer.initialize()
    levels = trainer.network(torch.zeros(1, 1, 32, 32))
    assert [tuple(level.shape) for level in levels] == [(1, 4, 32, 32), (1, 4, 16, 16)]
