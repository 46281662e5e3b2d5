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
from narrow_transformer import narrow_spec
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from torch.nn import functional as F

from nnunet_textguided.architectures import NetworkSpec, TextGuidedNetwork, build_text_guided_network
from nnunet_textguided.findings.loss import FindingLoss, Known
from nnunet_textguided.synthetic.phantom import PhantomSpec, generate_phantom
from nnunet_textguided.synthetic.structures import CODES
from nnunet_textguided.trainers import MixedTransformerUNetTrainer, TextGuidedTrainer, mixed_transformer
from nnunet_textguided.trainers.finite_batches import FiniteBatches
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
    "one voxel NaN": lambda: with_voxel(math.nan),
    "one voxel infinite": lambda: with_voxel(-math.inf),
    "a case NaN throughout": lambda: torch.stack([torch.full((1, 32, 32), math.nan), torch.randn(1, 32, 32)]),
}


def with_voxel(value: float) -> torch.Tensor:
    image = torch.randn(2, 1, 32, 32)
    image[1, 0, 5, 7] = value
    return image


@pytest.mark.parametrize("trainer_class", [TextGuidedTrainer, MixedTransformerUNetTrainer])
def test_no_batch_makes_a_step_that_is_not_finite(make_trainer, trainer_class, results, monkeypatch):
    monkeypatch.setattr(mixed_transformer, "patch_spec", narrow_spec)
    trainer = make_trainer(trainer_class)
    trainer.initialize()
    for name, image in BATCHES.items():
        trainer.network.train()
        assert math.isfinite(float(trainer.train_step(batch(image()))["loss"])), name
        assert all(torch.isfinite(value).all() for value in trainer.network.state_dict().values()), name
        trainer.network.eval()
        with torch.no_grad():
            assert math.isfinite(float(trainer.validation_step(batch(image()))["loss"])), name


class Log:
    """Stands in for nnU-Net's trainer: keeps what is logged, and hands the batch back."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def print_to_log_file(self, line: str) -> None:
        self.lines.append(line)

    def train_step(self, batch: dict) -> dict:
        return batch

    validation_step = train_step


class Watched(FiniteBatches, Log):
    pass


def test_voxels_that_are_no_numbers_become_zero_and_their_case_is_named_once():
    trainer, image = Watched(), with_voxel(math.nan)
    image[1, 0, 9, 9] = math.inf
    others = torch.isfinite(image)
    for step in (trainer.train_step, trainer.validation_step):
        found = step(batch(image))["data"]
        assert torch.equal(found[others], image[others])
        assert (found[~others] == 0).all()
    assert [line.partition(":")[0] for line in trainer.lines] == ["case_01"]
    whole = batch(torch.randn(2, 1, 32, 32))
    assert trainer.train_step(whole) is whole
    large = batch(torch.full((2, 1, 32, 32), 3e38))  # finite, its sum is not
    assert torch.equal(trainer.train_step(large)["data"], large["data"])
    assert len(trainer.lines) == 1


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
