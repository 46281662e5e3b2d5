from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from nnunet_textguided.architectures import NetworkSpec, build_text_guided_network, load_encoder_weights
from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.held_out import split_scans
from nnunet_textguided.pretraining.image_settings import ImageTraining, Running
from nnunet_textguided.pretraining.image_training import pretrain_image
from nnunet_textguided.pretraining.slice_sources import find_scans

CPU = Running(accelerator="cpu", devices=1, workers=0, report_every=2)
TINY = ImageTraining(encoder="convnextv2_atto", steps=4, batch=2, size=(64, 64), held_out=0.2, learning_rate=1e-3)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Six patients of smooth stripes, two slices each."""
    folder = tmp_path_factory.mktemp("scans")
    rows, columns = np.mgrid[:72, :72]
    for n in range(6):
        stripes = [np.sin(rows / (5 + n) + k) + np.cos(columns / (7 - 0.5 * n)) for k in range(2)]
        image = sitk.GetImageFromArray((500 * np.stack(stripes)).astype(np.int16))
        image.SetSpacing((1.0, 1.0, 4.0))
        sitk.WriteImage(image, str(folder / f"{n}_t2.mha"))
    return folder


def test_an_encoder_is_written_that_timm_and_the_network_load_bit_for_bit(scans, tmp_path):
    path = pretrain_image([scans], tmp_path, TINY, CPU)
    state = load_file(path)
    plain = timm.create_model("convnextv2_atto", num_classes=0, in_chans=1)
    plain.load_state_dict(state, strict=True)
    spec = NetworkSpec(
        encoder="convnextv2_atto",
        input_channels=1,
        num_classes=3,
        embedding_dim=8,
        pool_op_kernel_sizes=((1, 1), *((2, 2),) * 5),
    )
    network = build_text_guided_network(spec)
    load_encoder_weights(network, str(path), "convnextv2_atto")
    x = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        expected, _ = plain.eval().forward_intermediates(x), None
        assert torch.equal(network.encoder.eval()(x)[-1], expected[1][-1])
    with safe_open(path, "pt") as file:
        assert file.metadata()["architecture"] == "convnextv2_atto"
    assert (tmp_path / "reconstruction.png").stat().st_size > 1000


def test_an_interrupted_training_goes_on_to_the_same_weights(scans, tmp_path, monkeypatch):
    whole = load_file(pretrain_image([scans], tmp_path / "whole", TINY, CPU))
    from nnunet_textguided.pretraining.image_loop import ImageLoop

    update = ImageLoop._update

    def stop_after_three(loop, *batch):
        if loop.step == 3:
            raise KeyboardInterrupt
        update(loop, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(ImageLoop, "_update", stop_after_three)
        with pytest.raises(KeyboardInterrupt):
            pretrain_image([scans], tmp_path / "cut", TINY, CPU)
    resumed = load_file(pretrain_image([scans], tmp_path / "cut", TINY, CPU))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    with (tmp_path / "cut" / "progress.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["0", "2", "4"]


def test_a_finished_training_is_not_trained_again_and_another_one_is_an_error(scans, tmp_path):
    first = load_file(pretrain_image([scans], tmp_path, TINY, CPU))
    again = load_file(pretrain_image([scans], tmp_path, TINY, CPU))
    assert all(torch.equal(first[key], again[key]) for key in first)
    with pytest.raises(UserError, match=r"seed: 0 -> 1"):
        pretrain_image([scans], tmp_path, replace(TINY, seed=1), CPU)


def test_stripes_are_learned(scans, tmp_path):
    pretrain_image([scans], tmp_path, replace(TINY, steps=24, batch=4), replace(CPU, report_every=24))
    with (tmp_path / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["held_out_loss"]) < 0.9 * float(rows[0]["held_out_loss"])


def test_patients_are_kept_back_whole(scans):
    found = find_scans([scans]).scans
    doubled = [replace(scan, name=scan.name.replace("t2", kind)) for scan in found for kind in ("t1", "t2")]
    known, kept = split_scans(doubled, 0.3, seed=0)
    assert not {scan.name[0] for scan in known} & {scan.name[0] for scan in kept}
    assert len({scan.name[0] for scan in kept}) == 2
    with pytest.raises(UserError, match="two patients"):
        split_scans(found[:1], 0.3, seed=0)


@pytest.mark.parametrize("change", [{"size": (64, 60)}, {"size": (32, 32)}, {"steps": 0}, {"mask_ratio": 1.0}])
def test_settings_that_cannot_be_are_errors(change):
    with pytest.raises(UserError):
        ImageTraining(**change)
