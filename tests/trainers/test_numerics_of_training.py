"""Training steps on hostile batches, and long training in half precision on phantoms.

On a GPU the last test runs 10,000 steps in float16 and in bfloat16, as nnU-Net's own autocast does:

    pytest -m gpu -n 0 tests/trainers/test_numerics_of_training.py
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from torch.nn import functional as F

from nnunet_textguided.architectures import NetworkSpec, TextGuidedNetwork, build_text_guided_network
from nnunet_textguided.findings.loss import FindingLoss, Known
from nnunet_textguided.synthetic.phantom import PhantomSpec, generate_phantom
from nnunet_textguided.synthetic.structures import CODES
from nnunet_textguided.trainers import TextGuidedTrainer
from nnunet_textguided.trainers.muon import Muon
from nnunet_textguided.trainers.optimisation import BETAS, clip_gradients, parameter_groups

LIMIT = 6_500.0
STRIDES = ((1, 1), *((2, 2),) * 5)
FINDINGS = 2


def batch(image: torch.Tensor) -> dict:
    """nnU-Net's batch of two 32 x 32 patches: the image, and a square of class 1 at the levels of supervision."""
    target = torch.zeros(2, 1, 32, 32)
    target[:, :, 8:24, 8:24] = 1
    return {"data": image, "target": [target[..., ::k, ::k] for k in (1, 2, 4, 8)], "keys": ["case_00", "case_01"]}


BATCHES = {
    "all zero": lambda: torch.zeros(2, 1, 32, 32),
    "constant": lambda: torch.full((2, 1, 32, 32), 7.0),
    "one voxel a thousand deviations off": lambda: torch.eye(32).mul(1000).expand(2, 1, 32, 32).clone(),
    "as far as float16 reaches": lambda: 65_504.0 * torch.randn(2, 1, 32, 32).sign(),
}


def test_no_batch_makes_a_step_that_is_not_finite(make_trainer):
    trainer = make_trainer(TextGuidedTrainer)
    trainer.initialize()
    trainer.network.train()
    for name, image in BATCHES.items():
        assert math.isfinite(float(trainer.train_step(batch(image()))["loss"])), name
        assert all(torch.isfinite(parameter).all() for parameter in trainer.network.parameters()), name


def phantom_batches(count: int, device: str) -> Iterator[tuple[torch.Tensor, torch.Tensor, Known]]:
    """Batches of two slices of four phantoms, normalised as nnU-Net does, with random gain and offset."""
    spec = PhantomSpec(shape=(6, 144, 80), spacing=(8.0, 2.4, 2.4), full_field_of_view=True)
    phantoms = [generate_phantom(seed, spec) for seed in range(4)]
    images = [(phantom.t2 - phantom.t2.mean()) / phantom.t2.std() for phantom in phantoms]
    rng = np.random.default_rng(0)
    for _ in range(count):
        chosen = [(int(rng.integers(4)), int(rng.integers(6))) for _ in range(2)]
        data = torch.from_numpy(np.stack([images[p][z][None] for p, z in chosen])).float()
        labels = torch.from_numpy(np.stack([phantoms[p].labels[z] for p, z in chosen])).long()
        gain, offset = torch.rand(2, 1, 1, 1) + 0.5, torch.randn(2, 1, 1, 1)
        status = torch.from_numpy(rng.integers(-1, 2, (2, len(CODES), FINDINGS)))
        yield (data * gain + offset).to(device), labels.to(device), Known(status.to(device))


def train(network: TextGuidedNetwork, steps: int, device: str, dtype: torch.dtype) -> list[float]:
    """Train as the trainer does; returns the loss of every step and fails at the first that is not finite."""
    network.to(device).train()
    optimizer = Muon(parameter_groups(network), betas=BETAS)
    optimizer.register_step_pre_hook(clip_gradients)
    scaler = torch.amp.GradScaler(device, enabled=dtype == torch.float16)
    segmentation = DC_and_CE_loss({"batch_dice": False, "smooth": 1e-5}, {}, dice_class=MemoryEfficientSoftDiceLoss)
    findings = FindingLoss(list(CODES.values()), (2.4, 2.4))
    losses = []
    for step, (data, labels, known) in enumerate(phantom_batches(steps, device)):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=dtype):
            *levels, maps = network(data)
            loss = 0.02 * findings(maps, labels, known)
            for k, (logits, weight) in enumerate(zip(levels[:3], (4 / 7, 2 / 7, 1 / 7), strict=True)):
                target = F.interpolate(labels[:, None].float(), scale_factor=0.5**k, mode="nearest")
                loss = loss + weight * segmentation(logits, target)
        assert math.isfinite(float(loss)), f"step {step}"
        assert max(float(output.abs().max()) for output in (*levels, maps)) < LIMIT, f"step {step}"
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        losses.append(float(loss))
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
    return losses


def phantom_network() -> TextGuidedNetwork:
    torch.manual_seed(0)
    spec = NetworkSpec(
        encoder="convnextv2_atto",
        input_channels=1,
        num_classes=1 + len(CODES),
        num_findings=FINDINGS,
        embedding_dim=32,
        pool_op_kernel_sizes=STRIDES,
    )
    network = build_text_guided_network(spec)
    network.set_class_vectors(F.normalize(torch.randn(len(CODES) + FINDINGS, 32), dim=1))
    return network


@pytest.mark.slow
def test_three_hundred_steps_on_phantoms_in_bfloat16_stay_finite_and_learn():
    losses = train(phantom_network(), 300, "cpu", torch.bfloat16)
    assert np.mean(losses[-30:]) < np.mean(losses[:30]) - 0.5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA: float16 and its gradient scaler are for GPUs")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_ten_thousand_steps_on_phantoms_in_half_precision_stay_finite_and_learn(dtype: torch.dtype):
    losses = train(phantom_network(), 10_000, "cuda", dtype)
    assert np.mean(losses[-100:]) < np.mean(losses[:100]) - 1
