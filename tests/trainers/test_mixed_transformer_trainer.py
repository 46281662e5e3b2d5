from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from narrow_transformer import narrow_spec
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from tiny_findings import FINDINGS
from tiny_partial import CUT

from nnunet_textguided.architectures.mixed_transformer import MixedTransformerUNet
from nnunet_textguided.errors import UserError
from nnunet_textguided.trainers import MixedTransformerUNetTrainer, mixed_transformer
from nnunet_textguided.trainers.finding_training import SegmentationAndFindingLoss
from nnunet_textguided.trainers.marginal_loss import MarginalLoss

STOCK_PLANS = "nnUNetPlans"


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow networks, and a results folder of the test's own."""
    monkeypatch.setattr(mixed_transformer, "patch_spec", narrow_spec)
    monkeypatch.setenv("nnUNet_results", str(tmp_path))


@pytest.fixture
def make(make_trainer):
    return partial(make_trainer, MixedTransformerUNetTrainer)


@pytest.mark.slow
def test_a_training_and_its_validation_run_on_plans_without_a_block(make, narrow: None, monkeypatch):
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    from nnunet_textguided.ext_path import ext_dir

    trainer = make(plans=STOCK_PLANS)
    assert "text_guidance" not in trainer.plans_manager.plans
    trainer.run_training()
    assert trainer.plans_manager.plans["text_guidance"]["findings"] == {}
    trainer.perform_actual_validation()
    folder = Path(trainer.output_folder)
    losses = [*trainer.logger.get_value("train_losses", step=None), *trainer.logger.get_value("val_losses", step=None)]
    assert np.isfinite(losses).all()
    assert len(losses) == 4
    summary = json.loads((folder / "validation" / "summary.json").read_text())
    assert len(summary["metric_per_case"]) == len(list((folder / "validation").glob("*.nii.gz"))) > 0

    monkeypatch.setenv("nnUNet_extTrainer", str(ext_dir()))
    predictor = nnUNetPredictor(device=torch.device("cpu"))
    predictor.initialize_from_trained_model_folder(trainer.output_folder_base, (0,), "checkpoint_final.pth")
    assert predictor.allowed_mirroring_axes == (1,)  # levels are stacked along the other one
    trainer.set_deep_supervision_enabled(False)
    image = torch.randn(1, 1, 33, 47)
    with torch.no_grad():
        predicted, own = predictor.network.eval()(image), trainer.network.eval()(image)
    torch.testing.assert_close(predicted, own, rtol=0, atol=0)


def test_the_one_supervised_level_has_all_the_weight(make, narrow: None):
    trainer = make()
    trainer.initialize()
    assert trainer._get_deep_supervision_scales() == [[1.0, 1.0]]
    assert isinstance(trainer.loss, DeepSupervisionWrapper)
    assert trainer.loss.weight_factors == (1.0,)
    torch.manual_seed(0)
    logits, target = torch.randn(2, 4, 8, 8), torch.randint(0, 4, (2, 1, 8, 8)).float()
    assert trainer.loss([logits], [target]) == trainer.loss.loss(logits, target)
    assert trainer.enable_deep_supervision


def test_without_deep_supervision_the_loss_is_nnunets(make, narrow: None):
    trainer = make()
    trainer.enable_deep_supervision = False
    trainer.initialize()
    assert trainer._get_deep_supervision_scales() is None
    assert not isinstance(trainer.loss, DeepSupervisionWrapper)
    assert isinstance(trainer.network(torch.zeros(2, 1, 32, 32)), torch.Tensor)


def test_training_steps_lower_the_loss_of_one_batch(make, narrow: None):
    torch.manual_seed(0)
    trainer = make()
    trainer.num_epochs, trainer.num_iterations_per_epoch = 1, 20
    trainer.initialize()
    target = torch.randint(0, 4, (2, 1, 4, 4)).float().repeat_interleave(8, 2).repeat_interleave(8, 3)
    batch = {"data": target + 0.1 * torch.randn(target.shape), "target": [target], "keys": ["a", "b"]}
    losses = [float(trainer.train_step(batch)["loss"]) for _ in range(15)]
    assert losses[-1] < losses[0] - 0.5


def test_a_source_that_leaves_out_a_class_trains_with_the_marginal_loss(make_partial_trainer, narrow: None):
    trainer = make_partial_trainer(MixedTransformerUNetTrainer, findings=[])
    trainer.initialize()
    trainer.get_tr_and_val_datasets()
    assert isinstance(trainer.loss, MarginalLoss)
    batch = {"data": torch.randn(2, 1, 32, 32), "target": [torch.zeros(2, 1, 32, 32)], "keys": np.array(CUT[:2])}
    assert np.isfinite(trainer.train_step(batch)["loss"])


def test_a_step_teaches_structures_and_findings_where_the_plans_name_some(make, finding_plans: str, narrow: None):
    torch.manual_seed(0)
    trainer = make(plans=finding_plans)
    trainer.initialize()
    assert isinstance(trainer.loss, SegmentationAndFindingLoss)
    target = torch.zeros(2, 1, 32, 32)
    target[..., 4:12, 4:20], target[..., 14:20, 4:20] = 2, 3
    batch = {"data": target + 0.1 * torch.randn(target.shape), "target": [target], "keys": ["case_01", "case_02"]}
    level, maps = trainer.network(batch["data"])
    assert level.shape == (2, 4, 32, 32)
    assert maps.shape == (2, len(FINDINGS), 32, 32)
    assert trainer.network.num_findings == len(FINDINGS)
    before = {name: parameter.detach().clone() for name, parameter in trainer.network.named_parameters()}
    assert np.isfinite(trainer.train_step(batch)["loss"])
    after = dict(trainer.network.named_parameters())
    for name in ("decoder.seg_layers.weight", "finding_head.seg_layers.classifier.weight"):
        assert not torch.equal(after[name], before[name])


def test_the_network_has_the_published_widths_and_a_position_for_every_token_of_the_patch(make):
    trainer = make()
    with torch.device("meta"):
        network = trainer.build_network_architecture(trainer.plans_manager, trainer.configuration_manager, 3, 5, False)
    assert isinstance(network, MixedTransformerUNet)
    assert network.skip_channels == (64, 128, 256, 256, 512, 1024)
    assert network.encoder.positions.shape == (1, 256, 4, 4)
    assert network.decoder.seg_layers.weight.shape[0] == 5
    assert not network.decoder.deep_supervision


def test_a_3d_configuration_is_refused(make, narrow: None):
    trainer = make(configuration="3d_fullres")
    with pytest.raises(UserError, match=r"2D plans only, got a patch of \(6, 32, 32\). Train configuration 2d"):
        trainer.initialize()
