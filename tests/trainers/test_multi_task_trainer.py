from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_findings import FINDINGS
from toy_model import IN_PROCESS

from nnunet_textguided.architectures import MultiTaskUNet
from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.finding_predictor import FindingPredictor
from nnunet_textguided.inference.model_folder import check_model_folder, has_findings, load_predictor
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.trainers import MultiTaskUNetTrainer, nnUNetTrainerMatched
from nnunet_textguided.trainers.finding_training import SegmentationAndFindingLoss

OUT_OF_REACH = {
    "encoder_weights": "/nowhere/encoder.safetensors",
    "text_model": "/nowhere/open_clip_config.json",
    "text_weights": "/nowhere/open_clip_model.pt",
}
"""Options of the text-guided network that this trainer has no use for."""


def batch_of(trainer) -> dict:
    """One synthetic batch: a vertebra and a disc, brighter than their surroundings."""
    patch = trainer.configuration_manager.patch_size
    labels = torch.zeros(2, 1, *patch)
    labels[..., 4:12, 4:20], labels[..., 14:20, 4:20] = 2, 3
    scales = trainer._get_deep_supervision_scales()
    steps = [tuple(slice(None, None, round(1 / s)) for s in scale) for scale in scales]
    noise = torch.randn(labels.shape, generator=torch.Generator().manual_seed(0))
    return {"data": labels + 0.1 * noise, "target": [labels[(..., *s)] for s in steps], "keys": ["case_01", "case_02"]}


@pytest.fixture
def trained(make_trainer, finding_plans: str):
    """A model of fold 0 after two iterations."""
    trainer = make_trainer(MultiTaskUNetTrainer, plans=finding_plans, **OUT_OF_REACH)
    trainer.num_epochs = 1
    trainer.run_training()
    return trainer


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_a_step_teaches_structures_and_findings(make_trainer, finding_plans: str, configuration: str):
    torch.manual_seed(0)
    trainer = make_trainer(MultiTaskUNetTrainer, plans=finding_plans, configuration=configuration)
    trainer.initialize()
    assert isinstance(trainer.loss, SegmentationAndFindingLoss)
    batch = batch_of(trainer)
    before = {name: p.detach().clone() for name, p in trainer.network.named_parameters()}
    first = float(trainer.train_step(copy.deepcopy(batch))["loss"])
    changed = {name for name, p in trainer.network.named_parameters() if not torch.equal(p, before[name])}
    finest = f"decoder.seg_layers.{len(trainer.network.decoder.seg_layers) - 1}.weight"
    assert {finest, "finding_head.seg_layers.classifier.weight"} <= changed
    losses = [float(trainer.train_step(copy.deepcopy(batch))["loss"]) for _ in range(8)]
    assert losses[-1] < first


def test_findings_are_trained_without_any_other_weights_and_predicted_from_the_model_folder_alone(
    trained, annotated: Path, tmp_path: Path, monkeypatch
):
    assert not [*annotated.glob(f"{trained.plans_manager.plans_name}*bank*")]
    model = check_model_folder(trained.output_folder_base)
    assert has_findings(model)
    block = model.plans["text_guidance"]
    assert (block["findings"], block["bank"]) == (FINDINGS, None)
    monkeypatch.delenv("nnUNet_preprocessed")
    predictor = load_predictor(model, device=torch.device("cpu"), allow_tqdm=False)
    assert isinstance(predictor, FindingPredictor)
    network, x = predictor.network.network.eval(), torch.randn(1, 1, 32, 64)
    with torch.no_grad():
        for ours, theirs in zip(
            network.forward_with_findings(x), trained.network.eval().forward_with_findings(x), strict=True
        ):
            assert torch.equal(ours, theirs)
    (tmp_path / "images").mkdir()
    raw = annotated.parent.parent / "nnUNet_raw" / annotated.name / "imagesTr"
    shutil.copy(raw / "case_03_0000.nii.gz", tmp_path / "images")
    predict_folder(model.path, tmp_path / "images", tmp_path / "out", settings=IN_PROCESS)
    table = pd.read_csv(tmp_path / "out" / "findings.csv")
    asked = {(site, name) for name, finding in FINDINGS.items() for site in finding["applies_to"]}
    assert set(zip(table.structure, table.finding, strict=True)) <= asked
    assert table.probability.between(0, 1).all()
    assert (tmp_path / "out" / "case_03.nii.gz").is_file()


def test_resume_and_later_folds_use_the_options_of_the_model(trained, make_trainer, finding_plans: str):
    again = make_trainer(MultiTaskUNetTrainer, plans=finding_plans, **OUT_OF_REACH)
    again.load_checkpoint(str(Path(trained.output_folder) / "checkpoint_final.pth"))
    assert again.current_epoch == 1
    for key, value in trained.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[key], value)
    later = make_trainer(MultiTaskUNetTrainer, plans=finding_plans, fold=1, **OUT_OF_REACH)
    later.initialize()
    assert later.guidance == trained.guidance
    with pytest.raises(UserError, match="findings"):
        make_trainer(MultiTaskUNetTrainer, plans=finding_plans, fold=1, findings={}, **OUT_OF_REACH).initialize()


def test_without_findings_it_trains_as_the_matched_trainer_does(make_trainer, results: Path):
    states = []
    for trainer_class in (nnUNetTrainerMatched, MultiTaskUNetTrainer):
        trainer = make_trainer(trainer_class)
        torch.manual_seed(0)
        trainer.initialize()
        for _ in range(2):
            trainer.train_step(batch_of(trainer))
        states.append((trainer.network.state_dict(), trainer.optimizer.state_dict()["param_groups"]))
    assert isinstance(trainer.network, MultiTaskUNet)
    (matched, groups), (ours, own_groups) = states
    assert matched.keys() == ours.keys()
    assert all(torch.equal(matched[key], ours[key]) for key in matched)
    assert groups == own_groups


def test_untouched_plans_train_without_findings_and_leave_a_complete_block(make_trainer, annotated: Path, results):
    trainer = make_trainer(MultiTaskUNetTrainer, plans="nnUNetPlans")
    trainer.initialize()
    assert trainer.network.num_findings == 0
    assert trainer.plans_manager.plans["text_guidance"]["names"] == ["S", "L5", "L5/S"]


def test_residual_encoder_plans_are_taken(make_trainer, finding_plans: str):
    trainer = make_trainer(MultiTaskUNetTrainer, plans=finding_plans)
    architecture = trainer.configuration_manager.configuration["architecture"]
    architecture["network_class_name"] = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
    architecture["arch_kwargs"]["n_blocks_per_stage"] = architecture["arch_kwargs"].pop("n_conv_per_stage")
    trainer.initialize()
    assert np.isfinite(float(trainer.train_step(batch_of(trainer))["loss"]))


def test_plans_with_another_kind_of_network_are_refused_by_name(make_trainer, finding_plans: str):
    trainer = make_trainer(MultiTaskUNetTrainer, plans=finding_plans)
    trainer.configuration_manager.configuration["architecture"]["network_class_name"] = "torch.nn.Identity"
    with pytest.raises(UserError, match=r"torch\.nn\.Identity.*nnUNetv2_plan_experiment"):
        trainer.initialize()


@pytest.mark.slow
def test_a_whole_run_ends_with_a_validation_of_segmentation_and_findings(trained):
    trained.perform_actual_validation()
    folder = Path(trained.output_folder) / "validation"
    _, cases = trained.do_split()
    assert {path.name for path in folder.glob("*.nii.gz")} == {f"{case}.nii.gz" for case in cases}
    assert (folder / "summary.json").is_file()
    table = pd.read_csv(folder / "findings.csv")
    assert set(table.case) == set(cases)
    bulges = table[table.finding == "bulge"]
    assert (bulges.truth == bulges.case.str[-2:].astype(int) % 2).all()
    assert json.loads((folder / "findings_summary.json").read_text())["findings"]["bulge"]["n"] == len(cases)
