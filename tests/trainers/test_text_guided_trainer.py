from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunet_textguided import trainers
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import file_sha256
from nnunet_textguided.trainers import (
    TextGuidedTrainer,
    TextGuidedTrainer_medium,
    TextGuidedTrainer_short,
    VisualOnlyTrainer,
)


def batch_of(trainer) -> dict:
    """One synthetic batch: brightness tells the class."""
    generator = torch.Generator().manual_seed(0)
    patch = trainer.configuration_manager.patch_size
    target = torch.randint(0, 4, (2, 1, *[max(1, n // 8) for n in patch]), generator=generator).float()
    target = torch.nn.functional.interpolate(target, size=tuple(patch), mode="nearest")
    scales = trainer._get_deep_supervision_scales()
    sizes = [[max(1, round(n * s)) for n, s in zip(patch, scale, strict=True)] for scale in scales]
    targets = [torch.nn.functional.interpolate(target, size=tuple(size), mode="nearest") for size in sizes]
    return {
        "data": target + 0.1 * torch.randn(target.shape, generator=generator),
        "target": targets,
        "keys": ["a", "b"],
    }


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
@pytest.mark.parametrize("trainer_class", [TextGuidedTrainer, VisualOnlyTrainer])
def test_training_steps_lower_the_loss(make_trainer, results: Path, trainer_class, configuration: str):
    torch.manual_seed(0)
    trainer = make_trainer(trainer_class, configuration=configuration)
    trainer.num_epochs, trainer.num_iterations_per_epoch = 1, 12
    trainer.initialize()
    batch = batch_of(trainer)
    losses = [float(trainer.train_step(batch)["loss"]) for _ in range(8)]
    assert losses[-1] < losses[0] - 0.05


def test_network_starts_with_the_rows_of_the_bank(make_trainer, results: Path, tiny_dataset: Path):
    trainer = make_trainer(TextGuidedTrainer)
    trainer.initialize()
    rows = trainer.network.state_dict()["queries.seg_layers.vectors"].numpy()
    np.testing.assert_array_equal(rows, trainer.class_vectors)
    assert np.linalg.norm(rows, axis=1).mean() == pytest.approx(1, abs=0.1)
    bank = tiny_dataset / trainer.guidance.bank["file"]
    assert file_sha256(bank) == trainer.guidance.bank["sha256"]


def test_deep_supervision_scales_are_those_of_the_networks_outputs(make_trainer, results: Path):
    trainer = make_trainer(TextGuidedTrainer, configuration="3d_fullres")
    trainer.initialize()
    patch = trainer.configuration_manager.patch_size
    outputs = trainer.network(torch.zeros(1, 1, *patch))
    expected = [
        tuple(max(1, round(n * s)) for n, s in zip(patch, x, strict=True))
        for x in trainer._get_deep_supervision_scales()
    ]
    assert [tuple(output.shape[2:]) for output in outputs] == expected


def test_region_and_cascade_configurations_are_refused(make_trainer, results: Path):
    trainer = make_trainer(TextGuidedTrainer)
    trainer.is_cascaded = True
    with pytest.raises(UserError, match="cascade"):
        trainer.initialize()


def trained(make_trainer, **block):
    trainer = make_trainer(TextGuidedTrainer, **block)
    trainer.run_training()
    return trainer


def test_checkpoint_gives_equal_logits_in_nnunets_predictor_without_the_preprocessed_folder(
    make_trainer, results: Path, monkeypatch: pytest.MonkeyPatch
):
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    from nnunet_textguided.ext_path import ext_dir

    trainer = trained(make_trainer)
    monkeypatch.setenv("nnUNet_extTrainer", str(ext_dir()))
    monkeypatch.delenv("nnUNet_preprocessed")
    predictor = nnUNetPredictor(device=torch.device("cpu"))
    predictor.initialize_from_trained_model_folder(trainer.output_folder_base, (0,), "checkpoint_final.pth")
    trainer.set_deep_supervision_enabled(False)
    trainer.network.eval()
    predictor.network.eval()
    image = torch.randn(1, 1, 33, 47)
    with torch.no_grad():
        torch.testing.assert_close(predictor.network(image), trainer.network(image), rtol=0, atol=0)
    assert predictor.allowed_mirroring_axes == (1,)


def test_resume_continues_where_it_stopped(make_trainer, results: Path):
    first = trained(make_trainer)
    state = {key: value.clone() for key, value in first.network.state_dict().items()}
    again = make_trainer(TextGuidedTrainer)
    again.num_epochs = 3
    again.load_checkpoint(str(Path(first.output_folder) / "checkpoint_final.pth"))
    assert again.current_epoch == 2
    for key, value in again.network.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)
    groups = again.optimizer.state_dict()["param_groups"]
    assert {group["steps"] for group in groups if not group["matrices"]} == {4}
    again.run_training()
    assert len(again.logger.get_value("train_losses", step=None)) == 3


def test_another_fold_with_other_options_is_refused_and_loses_nothing(make_trainer, results: Path):
    first = trained(make_trainer)
    saved = (Path(first.output_folder_base) / "plans.json").read_bytes()
    other = make_trainer(TextGuidedTrainer, fold=1, whitening=0.5)
    with pytest.raises(UserError, match="whitening"):
        other.initialize()
    assert (Path(first.output_folder_base) / "plans.json").read_bytes() == saved


def test_same_seed_gives_the_same_weights(make_trainer, results: Path):
    def weights():
        return trained(make_trainer, seed=7).network.state_dict()

    first = {key: value.clone() for key, value in weights().items()}
    for key, value in weights().items():
        torch.testing.assert_close(value, first[key], rtol=0, atol=0)


def test_bank_of_another_text_model_is_refused(make_trainer, results: Path):
    make_trainer(TextGuidedTrainer).initialize()
    other = make_trainer(TextGuidedTrainer, text_model="one-hot")
    with pytest.raises(UserError, match="--overwrite"):
        other.initialize()


def test_bank_that_changed_since_the_plans_is_refused(make_trainer, results: Path, tiny_dataset: Path):
    first = make_trainer(TextGuidedTrainer)
    first.initialize()
    entry = {**first.guidance.bank, "sha256": "0" * 64}
    with pytest.raises(UserError, match=entry["file"]):
        make_trainer(TextGuidedTrainer, bank=entry).initialize()


def test_unreachable_encoder_weights_fail_before_training(make_trainer, results: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(results / "empty_cache"))
    trainer = make_trainer(TextGuidedTrainer, encoder="convnextv2_atto.fcmae_ft_in1k", encoder_weights="timm")
    with pytest.raises(UserError, match="--encoder-weights"):
        trainer.initialize()


def encoder_file(path: Path, seed: int) -> dict[str, torch.Tensor]:
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    state = timm.create_model("convnextv2_atto", pretrained=False, in_chans=1).state_dict()
    metadata = {"licence": "CC0", "method": "FCMAE", "training": "2 scans"}
    save_file({key: value.contiguous() for key, value in state.items()}, str(path), metadata)
    return state


@pytest.mark.parametrize(("option", "factor"), [(None, 0.1), (0.5, 0.5), (1.0, 1.0)])
def test_pretrained_encoder_is_loaded_and_learns_at_a_tenth_or_as_asked(
    make_trainer, results: Path, tmp_path: Path, option: float | None, factor: float
):
    stem = encoder_file(tmp_path / "e.safetensors", 3)["stem.0.weight"]
    trainer = make_trainer(TextGuidedTrainer, encoder_weights=str(tmp_path / "e.safetensors"), encoder_rate=option)
    trainer.initialize()
    assert any(torch.equal(stem, p) for name, p in trainer.network.named_parameters() if name.startswith("encoder."))
    rates = sorted({group["lr"] for group in trainer.optimizer.param_groups if group["matrices"]})
    assert rates[0] == pytest.approx(factor * rates[-1])


def test_the_model_keeps_where_its_encoder_came_from_and_takes_no_other_file(make_trainer, results: Path, tmp_path):
    path = tmp_path / "e.safetensors"
    encoder_file(path, 3)
    trainer = make_trainer(TextGuidedTrainer, encoder_weights=str(path))
    trainer.initialize()
    source = trainer.plans_manager.plans["text_guidance"]["encoder_source"]
    assert (source["licence"], source["pretraining"]) == ("CC0", "FCMAE 2 scans")
    assert source["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    encoder_file(path, 4)
    with pytest.raises(UserError, match="have changed"):
        make_trainer(TextGuidedTrainer, encoder_weights=str(path), encoder_source=source).initialize()


def test_pretrained_weights_of_a_model_with_other_labels_are_taken_over(make_trainer, results: Path):
    from nnunetv2.run.load_pretrained_weights import load_pretrained_weights

    first = trained(make_trainer)
    other = make_trainer(TextGuidedTrainer, fold=1)
    other.initialize()
    vectors = torch.randn(5, other.guidance.bank["embedding_dim"])
    network = _network_with_classes(other, 6)
    network.set_class_vectors(vectors)
    load_pretrained_weights(network, str(Path(first.output_folder) / "checkpoint_final.pth"))
    torch.testing.assert_close(network.state_dict()["queries.seg_layers.vectors"], vectors)
    source = first.network.state_dict()
    for key, value in network.state_dict().items():
        if ".seg_layers." not in key:
            torch.testing.assert_close(value, source[key])


def _network_with_classes(trainer, num_classes: int):
    plans = trainer.plans_manager
    plans.plans["text_guidance"]["names"] = [f"structure {i}" for i in range(num_classes - 1)]
    return trainer.build_network_architecture(plans, trainer.configuration_manager, 1, num_classes, False)


def test_visual_only_needs_no_bank(make_trainer, results: Path):
    trainer = make_trainer(VisualOnlyTrainer, text_model="ViT-B-32", text_weights="laion2b_s34b_b79k")
    trainer.initialize()
    assert isinstance(trainer.network.queries.seg_layers.vectors, torch.nn.Parameter)


ITERATIONS = {"quick": 150, "short": 300, "twice": 600, "medium": 750}


@pytest.mark.parametrize("name", [name for name in trainers.__all__ if name.split("_")[-1] in ITERATIONS])
def test_variants_run_the_iterations_they_are_known_by_with_a_checkpoint_each_epoch(
    make_trainer, results: Path, name: str
):
    import json

    from nnunetv2.paths import nnUNet_preprocessed

    folder = Path(str(nnUNet_preprocessed)) / "Dataset900_Tiny"
    plans = json.loads((folder / "nnUNetPlansTextGuided.json").read_text())
    plans["continue_training"] = False
    dataset_json = json.loads((folder / "dataset.json").read_text())
    trainer = getattr(trainers, name)(plans, "2d", 0, dataset_json, torch.device("cpu"))
    assert trainer.num_epochs * trainer.num_iterations_per_epoch == ITERATIONS[name.split("_")[1]]
    assert (trainer.num_val_iterations_per_epoch, trainer.save_every) == (5, 1)


@pytest.mark.parametrize("name", trainers.__all__)
def test_trainer_classes_are_picklable(name: str):
    trainer_class = getattr(trainers, name)
    assert pickle.loads(pickle.dumps(trainer_class)) is trainer_class
    assert trainer_class.__module__.startswith("nnunet_textguided.trainers")


def test_short_trainer_is_the_long_one_but_for_its_length():
    assert TextGuidedTrainer_short.__mro__[2] is TextGuidedTrainer
    assert TextGuidedTrainer_medium.__mro__[3] is TextGuidedTrainer


def test_levels_of_which_a_small_patch_leaves_nothing_are_not_supervised(make_trainer):
    trainer = make_trainer(TextGuidedTrainer)
    assert trainer._get_deep_supervision_scales()[-1] == [1 / 16, 1 / 16]
    trainer.configuration_manager.configuration["patch_size"] = [40, 8]  # nnU-Net rounds 8 / 16 to no voxel
    assert trainer._get_deep_supervision_scales() == [[1 / s, 1 / s] for s in (1, 2, 4, 8)]
