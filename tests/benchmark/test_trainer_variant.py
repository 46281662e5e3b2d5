"""A trainer ready to be measured is the trainer, an epoch at a call, and leaves nothing behind."""

from __future__ import annotations

import inspect
import itertools
from pathlib import Path

import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_textguided.benchmark.bench import draw_batch
from nnunet_textguided.benchmark.trainer_variant import measured
from nnunet_textguided.trainers import TextGuidedTrainer, nnUNetTrainer_short


@pytest.mark.parametrize("base", [nnUNetTrainer, nnUNetTrainer_short, TextGuidedTrainer])
def test_signature_and_name_are_those_nnunet_reads(base):
    variant = measured(base)
    assert variant.__name__ == base.__name__
    assert list(inspect.signature(variant.__init__).parameters) == [
        *("self", "plans", "configuration", "fold", "dataset_json", "device"),
    ]
    assert issubclass(variant, base)


@pytest.fixture
def trainer(bench):
    return bench.build(bench.setting.systems[0])


def test_one_epoch_a_call_and_no_checkpoint(trainer, monkeypatch):
    monkeypatch.setattr(type(trainer.logger), "plot_progress_png", lambda self, folder: None)
    trainer.fixed_batch = draw_batch(trainer)
    trainer.num_epochs = 3
    assert [trainer.run_epoch() > 0 for _ in range(2)] == [True, True]
    assert (trainer.current_epoch, trainer.num_epochs) == (2, 3)
    trainer.close()
    assert list(Path(trainer.output_folder_base).rglob("*.pth")) == []


def test_with_a_fixed_batch_nothing_is_loaded(trainer, monkeypatch):
    batch = draw_batch(trainer)
    trainer.fixed_batch = batch
    monkeypatch.setattr(nnUNetTrainer, "get_dataloaders", lambda self: pytest.fail("loaded"))
    training, validation = trainer.get_dataloaders()
    assert [next(loader) is batch for loader in (training, training, validation)] == [True] * 3
    assert isinstance(training, itertools.repeat)


def test_systems_have_the_same_noise_and_cases_in_the_plans_patch_and_batch(bench):
    batches = [draw_batch(bench.build(system)) for system in bench.setting.systems]
    assert batches[0]["data"].shape == (2, 1, 32, 32)
    assert torch.equal(batches[0]["data"], batches[1]["data"])
    assert list(batches[0]["keys"]) == list(batches[1]["keys"])
