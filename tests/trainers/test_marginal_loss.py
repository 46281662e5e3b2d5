from __future__ import annotations

import numpy as np
import pytest
import torch
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from torch import nn

from nnunet_textguided.trainers.lacking import LackingClasses
from nnunet_textguided.trainers.marginal_loss import MarginalLoss, merge_into_background

CLASSES = 5
PATCHES = [(12, 10), (3, 8, 6)]


class CrossEntropy(nn.Module):
    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs, targets[:, 0].long())


def lacking(learned: frozenset[int] = frozenset({1, 2, 3, 4})) -> LackingClasses:
    names = LackingClasses({"cut": frozenset({"S", "T9"})}, {"S": 1, "L5": 2, "T9": 3, "L4": 4})
    names.learned = learned
    return names


def nnunets(batch_dice: bool = True, ignore_label: int | None = None) -> nn.Module:
    dice = {"batch_dice": batch_dice, "smooth": 1e-5, "do_bg": False, "ddp": False}
    return DC_and_CE_loss(dice, {}, ignore_label=ignore_label, dice_class=MemoryEfficientSoftDiceLoss)


def marginal(loss: nn.Module, cases: list[str], **options) -> MarginalLoss:
    wrapped = MarginalLoss(loss, lacking(**options))
    wrapped.announce(cases)
    return wrapped


def random_batch(patch: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, CLASSES, *patch, generator=generator)
    target = torch.tensor([0, 2, 4])[torch.randint(0, 3, (2, 1, *patch), generator=generator)]
    return logits, target.float()


def moved_within_the_union(logits: torch.Tensor, seed: int) -> torch.Tensor:
    """Share the probability of background, S and T9 (0, 1, 3) out anew, their sum as it was."""
    joined = torch.logsumexp(logits[:, [0, 1, 3]], 1, keepdim=True)
    shares = 4 * torch.randn(logits[:, [0, 1, 3]].shape, generator=torch.Generator().manual_seed(seed))
    moved = logits.clone()
    moved[:, [0, 1, 3]] = shares.log_softmax(1) + joined
    return moved


@pytest.mark.parametrize("batch_dice", [True, False])
@pytest.mark.parametrize("patch", PATCHES)
def test_how_probability_is_split_between_background_and_lacking_classes_does_not_matter(patch, batch_dice: bool):
    logits, target = random_batch(patch)
    loss = marginal(nnunets(batch_dice), ["cut_1", "cut_2"])
    plain = nnunets(batch_dice)
    first = loss(logits, target).item()
    for seed in range(3):
        moved = moved_within_the_union(logits, seed)
        assert loss(moved, target).item() == pytest.approx(first, abs=1e-5)
        assert abs(plain(moved, target).item() - plain(logits, target).item()) > 1e-3


@pytest.mark.parametrize("patch", PATCHES)
def test_cross_entropy_is_that_of_background_plus_what_the_case_lacks(patch):
    logits, target = random_batch(patch)
    loss = marginal(CrossEntropy(), ["cut_1", "whole_1"])(logits, target)
    values = np.moveaxis(logits.double().numpy(), 1, -1)
    probability = np.exp(values) / np.exp(values).sum(-1, keepdims=True)
    total = 0.0
    for sample, hidden in ((0, [0, 1, 3]), (1, [0])):
        for voxel in np.ndindex(patch):
            code = int(target[(sample, 0, *voxel)])
            of_target = hidden if code == 0 else [code]
            total -= np.log(probability[(sample, *voxel)][of_target].sum())
    assert loss.item() == pytest.approx(total / target.numel(), abs=1e-5)


def test_dice_of_lacking_classes_hears_nothing_of_the_sample():
    logits, target = random_batch(PATCHES[0])
    logits[0, 1], target[1, 0, :4] = 20.0, 1.0  # the first sample predicts S everywhere
    lone = merge_into_background(logits, lacking().of_batch(["cut_1", "whole_1"], CLASSES)).softmax(1)
    assert lone[0, [1, 3]].max() < 1e-20
    torch.testing.assert_close(lone[1], logits.softmax(1)[1])


def test_a_class_labelled_elsewhere_trains_from_there_alone():
    logits, target = random_batch(PATCHES[0])
    target[1, 0, :4] = 1.0
    logits.requires_grad_()
    loss = marginal(nnunets(), ["cut_1", "whole_1"])
    (gradient,) = torch.autograd.grad(loss(logits, target), logits)
    assert gradient[1, 1].abs().sum() > 1e-3
    # moving probability between background and S at constant sum: a direction the first sample has no slope in
    shares = logits.detach()[:, [0, 1]].softmax(1)
    slope = gradient[:, 1] / shares[:, 1] - gradient[:, 0] / shares[:, 0]
    assert slope[0].abs().max() < 1e-6
    assert slope[1].abs().max() > 1e-4
    target[0] = 0.0
    (alone,) = torch.autograd.grad(loss(logits, target), logits)
    torch.testing.assert_close(alone[1, 1].sign(), gradient[1, 1].sign())


def test_a_class_that_no_training_case_shows_is_trained_as_background():
    logits, target = random_batch(PATCHES[0])
    never = marginal(nnunets(), ["cut_1", "cut_2"], learned=frozenset({2, 4}))
    assert never(logits, target).item() == nnunets()(logits, target).item()
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(never(logits, target), logits)
    assert (gradient[:, 1] > 0).all()  # its logit is pushed down everywhere
    only_s = marginal(CrossEntropy(), ["cut_1", "cut_2"], learned=frozenset({1, 2, 4}))
    assert (torch.autograd.grad(only_s(logits, target), logits)[0][:, 3] > 0).all()


def test_supervised_levels_are_each_merged_and_complete_samples_left_alone():
    levels = [random_batch(patch, seed) for seed, patch in enumerate([(16, 8), (8, 4)])]
    outputs, targets = [list(part) for part in zip(*levels, strict=True)]
    loss = DeepSupervisionWrapper(nnunets(), [0.7, 0.3])
    table = lacking().of_batch(["cut_1", "whole_1"], CLASSES)
    expected = loss([merge_into_background(level, table) for level in outputs], targets)
    assert marginal(loss, ["cut_1", "whole_1"])(outputs, targets).item() == expected.item()
    whole = merge_into_background(outputs[0], lacking().of_batch(["whole_1", "whole_2"], CLASSES))
    assert whole is outputs[0]


def test_half_precision_outputs_are_merged_in_single_precision():
    logits, _ = random_batch(PATCHES[0])
    table = lacking().of_batch(["cut_1", "cut_2"], CLASSES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        merged = merge_into_background(logits.bfloat16(), table)
    assert merged.dtype == torch.float32
    torch.testing.assert_close(merged, merge_into_background(logits.bfloat16().float(), table))


def test_a_batch_that_was_not_announced_is_refused():
    with pytest.raises(RuntimeError, match="Expected 2 announced cases, got 1"):
        marginal(nnunets(), ["cut_1"])(*random_batch(PATCHES[0]))
