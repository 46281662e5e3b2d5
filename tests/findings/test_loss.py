from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nnunet_textguided.findings.loss import PRIOR_LOGIT, UNSURE_BIT, FindingLoss, Known, balanced_mean, marked_cost


@pytest.fixture
def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """Two images with two structures of 16 voxels, and finding maps for two findings."""
    labels = torch.zeros(2, 4, 12, dtype=torch.long)
    labels[:, :, :4], labels[:, :, 8:] = 1, 2
    return torch.randn(2, 2, 4, 12, generator=torch.Generator().manual_seed(0)), labels


def loss_of(**options) -> FindingLoss:
    return FindingLoss(
        codes=[1, 2], spacing=(1.0, 1.0), **{"margin_mm": 1.0, "voxel_weight": 0.0, "marked_weight": 0.0, **options}
    )


def unknown(batch: int = 2) -> torch.Tensor:
    return torch.full((batch, 2, 2), -1)


def test_pairs_that_are_not_assessed_have_exactly_no_gradient(scene):
    maps, labels = scene
    maps.requires_grad_()
    status = unknown()
    status[0, 0, 0] = 1
    loss_of(voxel_weight=0.5)(maps, labels, Known(status)).backward()
    assert (maps.grad[0, 0, :, :5] != 0).all()
    maps.grad[0, 0, :, :5] = 0
    assert (maps.grad == 0).all()


def test_nothing_assessed_costs_nothing_but_reaches_the_maps(scene):
    maps, labels = scene
    maps.requires_grad_()
    loss = loss_of()(maps, labels, Known(unknown()))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(maps.grad, torch.zeros_like(maps))


def test_one_decision_costs_the_cross_entropy_of_its_pooled_score(scene):
    maps, labels = scene
    status = unknown()
    status[1, 1, 0] = 0
    score = maps[1, 0, :, 7:].flatten().exp().mean().log()
    expected = F.binary_cross_entropy_with_logits(score, torch.tensor(0.0))
    assert loss_of()(maps, labels, Known(status)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_structures_outside_the_patch_are_not_asked(scene):
    maps, labels = scene
    status = unknown()
    status[0] = torch.tensor([[1, 0], [1, 1]])
    alone = loss_of()(maps, torch.where(labels == 2, 0, labels), Known(status))
    without = status.clone()
    without[0, 1] = -1
    assert alone.item() == loss_of()(maps, torch.where(labels == 2, 0, labels), Known(without)).item()


def test_a_part_of_a_structure_weighs_a_present_finding_down_and_not_an_absent_one(scene):
    maps, labels = scene
    sizes = torch.tensor([[16.0, 16.0], [64.0, 64.0]])  # the second patch sees a quarter
    present = unknown()
    present[:, 0, 0] = 1
    costs = [loss_of()(maps[i : i + 1], labels[i : i + 1], Known(present[i : i + 1])).item() for i in range(2)]
    both = loss_of()(maps, labels, Known(present, sizes)).item()
    assert both == pytest.approx((costs[0] + 0.25 * costs[1]) / 1.25, rel=1e-5)
    absent = unknown()
    absent[:, 0, 0] = 0
    assert loss_of()(maps, labels, Known(absent, sizes)).item() == pytest.approx(
        loss_of()(maps, labels, Known(absent)).item()
    )


def test_present_and_absent_weigh_the_same_however_rare_one_is():
    cost = torch.ones(10, 1, 1)
    cost[0] = 5.0
    present = torch.zeros(10, 1, 1, dtype=torch.bool)
    present[0] = True
    assert balanced_mean(cost, torch.ones(10, 1, 1), present).item() == pytest.approx((5 + 1) / 2)


def test_finding_with_one_side_only_and_finding_without_any_are_averaged_right():
    cost = torch.tensor([[[2.0, 3.0, 7.0]], [[4.0, 5.0, 9.0]]])  # (B=2, S=1, F=3)
    weights = torch.tensor([[[1.0, 1.0, 0.0]], [[1.0, 1.0, 0.0]]])
    present = torch.tensor([[[True, False, True]], [[False, False, False]]])
    # first: (2 + 4) / 2; second: only absent, (3 + 5) / 2; third: nothing known
    assert balanced_mean(cost, weights, present).item() == pytest.approx((3 + 4) / 2)


def test_voxel_term_pushes_down_every_voxel_of_an_absent_finding_only(scene):
    maps, labels = scene
    maps.requires_grad_()
    status = unknown()
    status[0, 0] = torch.tensor([0, 1])
    term = loss_of(voxel_weight=1.0)(maps, labels, Known(status)) - loss_of()(maps, labels, Known(status))
    assert term.item() == pytest.approx(F.softplus(maps[0, 0, :, :5]).mean().item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(term, maps)
    assert (gradient[0, 0, :, :5] > 0).all()
    assert gradient[0, 1].abs().max() < 1e-7


def test_permuted_findings_cost_the_same(scene):
    maps, labels = scene
    status = torch.randint(-1, 2, (2, 2, 2), generator=torch.Generator().manual_seed(3))
    loss = loss_of(voxel_weight=0.3)
    assert loss(maps, labels, Known(status)).item() == pytest.approx(
        loss(maps[:, [1, 0]], labels, Known(status[:, :, [1, 0]])).item()
    )


def test_half_precision_maps_are_pooled_in_single(scene):
    maps, labels = scene
    status = torch.ones(2, 2, 2, dtype=torch.long)
    half = loss_of()(maps.half() * 30, labels, Known(status))
    assert half.dtype == torch.float32
    assert torch.isfinite(half)


def marked_at(scene, column: int) -> Known:
    """Finding 0 of structure 0 is present in image 0, marked at one column of it."""
    _, labels = scene
    status = unknown()
    status[0, 0, 0] = 1
    points = torch.zeros_like(labels)
    points[0, :, column] = 0b01
    return Known(status, torch.full((2, 2), 64.0), status == 1, points)


def test_a_marked_finding_that_the_patch_shows_counts_fully(scene):
    maps, labels = scene
    known = marked_at(scene, 2)
    score = maps[0, 0, :, :5].flatten().exp().mean().log()
    expected = F.binary_cross_entropy_with_logits(score, torch.tensor(1.0))
    assert loss_of()(maps, labels, known).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_marked_finding_that_the_patch_does_not_show_counts_as_absent_there(scene):
    maps, labels = scene
    known = marked_at(scene, 11)  # in the other structure's region
    absent = unknown()
    absent[0, 0, 0] = 0
    assert loss_of()(maps, labels, known).item() == pytest.approx(loss_of()(maps, labels, Known(absent)).item())


def test_marked_voxels_are_pushed_up_and_the_rest_of_the_region_down(scene):
    maps, labels = scene
    maps.requires_grad_()
    known = marked_at(scene, 2)
    term = loss_of(marked_weight=1.0)(maps, labels, known) - loss_of()(maps, labels, known)
    region, mark = maps[0, 0, :, :5], maps[0, 0, :, 2]
    free = torch.cat([region[:, :2], region[:, 3:]], 1)
    expected = F.softplus(-mark - PRIOR_LOGIT).mean() + F.softplus(free + PRIOR_LOGIT).sum() / mark.numel()
    assert term.item() == pytest.approx(expected.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(term, maps)
    assert (gradient[0, 0, :, 2] < 0).all()
    assert (gradient[0, 0, :, [0, 1, 3, 4]] > 0).all()
    assert gradient[0, 1].abs().max() < 1e-6


def test_a_patch_that_passes_a_mark_closely_is_not_asked_for_that_finding(scene):
    maps, labels = scene
    maps.requires_grad_()
    known = marked_at(scene, 11)
    known.points[0, :, 2] = 1 << UNSURE_BIT
    loss = loss_of(marked_weight=1.0)
    assert loss(maps, labels, known).item() == 0
    assert not loss.last.asked.any()
    other = known._replace(status=known.status.clone())
    other.status[0, 0, 1] = 0  # what is absent is absent beside a mark, too
    alone = unknown()
    alone[0, 0, 1] = 0
    assert loss_of()(maps, labels, other).item() == pytest.approx(loss_of()(maps, labels, Known(alone)).item())


def test_unsure_voxels_beside_a_mark_get_no_voxel_cost(scene):
    maps, labels = scene
    known = marked_at(scene, 2)
    known.points[0, :, 1] = 1 << UNSURE_BIT
    term = loss_of(marked_weight=1.0)(maps, labels, known) - loss_of()(maps, labels, known)
    mark, free = maps[0, 0, :, 2], maps[0, 0][:, [0, 3, 4]]
    expected = F.softplus(-mark - PRIOR_LOGIT).mean() + F.softplus(free + PRIOR_LOGIT).sum() / mark.numel()
    assert term.item() == pytest.approx(expected.item(), rel=1e-5)


def test_marked_cost_counts_every_voxel_once_and_is_taken_per_marked_voxel_of_its_finding():
    values = torch.tensor([[2.0, 0.0], [-1.0, 9.0], [0.5, 1.0], [3.0, 1.0]])
    marked, free = torch.zeros(4, 2, dtype=torch.bool), torch.zeros(4, 2, dtype=torch.bool)
    marked[[0, 3], 0] = True
    free[[1, 2], [0, 1]] = True
    chance = 1 / (1 + 99 * values.neg().exp())  # a prior of 1 %
    first = -(chance[[0, 3], 0].log().sum() + (1 - chance[1, 0]).log()) / 2
    assert marked_cost(values, marked, free).item() == pytest.approx(first.item(), rel=1e-5)  # finding 1 has no mark
    marked[3, 1] = True
    second = -(chance[3, 1].log() + (1 - chance[2, 1]).log())
    assert marked_cost(values, marked, free).item() == pytest.approx(((first + second) / 2).item(), rel=1e-5)
    assert marked_cost(values, torch.zeros_like(marked), free).item() == 0


def test_marks_of_another_finding_do_not_matter(scene):
    maps, labels = scene
    known = marked_at(scene, 2)
    moved = known._replace(points=known.points * 2)  # bit 1: finding 1 is not assessed here
    away = known._replace(points=torch.zeros_like(known.points))
    assert loss_of()(maps, labels, moved).item() == pytest.approx(loss_of()(maps, labels, away).item())
