from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from nnunet_textguided.trainers.muon import Muon, orthogonalise


def matrix_of(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def stepped(weight: torch.Tensor, gradient: torch.Tensor, **group: float) -> torch.Tensor:
    parameter = nn.Parameter(weight.clone())
    optimizer = Muon([{"params": [parameter], "matrices": True, "lr": 0.01, **group}])
    parameter.grad = gradient.clone()
    optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 16, 80), (2, 80, 16)])
def test_singular_values_come_near_one(shape: tuple[int, int, int]):
    values = torch.linalg.svdvals(orthogonalise(matrix_of(*shape)))
    assert values.min() > 0.6
    assert values.max() < 1.25


def test_singular_vectors_stay():
    matrix = matrix_of(12, 20)
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    turned = u.mT @ orthogonalise(matrix[None])[0] @ vh.mT
    torch.testing.assert_close(turned, torch.diag(turned.diagonal()), atol=1e-4, rtol=0)


@pytest.mark.parametrize("decay", [0.1, 1.0])
def test_result_is_that_of_the_plain_iteration_also_for_nearly_singular_matrices(decay: float):
    u, _, vh = torch.linalg.svd(matrix_of(24, 60), full_matrices=False)
    matrix = u * torch.exp(-decay * torch.arange(24.0)) @ vh  # singular values down to 1e-10
    x = matrix.double() / matrix.double().norm()
    a, b, c = 3.4445, -4.7750, 2.0315
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    torch.testing.assert_close(orthogonalise(matrix[None])[0].double(), x, atol=2e-3, rtol=0)


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_update_does_not_depend_on_the_size_of_the_gradient(factor: float):
    start, gradient = matrix_of(16, 48), matrix_of(16, 48, seed=1)
    torch.testing.assert_close(stepped(start, factor * gradient), stepped(start, gradient), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [(32, 32), (16, 128), (128, 16)])
def test_update_is_as_large_as_that_of_adamw(shape: tuple[int, int]):
    update = stepped(torch.zeros(shape), matrix_of(*shape))
    assert update.pow(2).mean().sqrt().item() == pytest.approx(0.2 * 0.01, rel=0.3)


def test_convolution_counts_as_the_matrix_of_its_outputs():
    start, gradient = matrix_of(16, 4, 3, 3), matrix_of(16, 4, 3, 3, seed=1)
    flat = stepped(start.flatten(1), gradient.flatten(1))
    torch.testing.assert_close(stepped(start, gradient).flatten(1), flat)


def test_equal_shapes_are_updated_each_by_its_own_gradient():
    weights = [nn.Parameter(torch.zeros(16, 16)) for _ in range(3)]
    optimizer = Muon([{"params": weights, "matrices": True, "lr": 0.01}])
    for seed, weight in enumerate(weights):
        weight.grad = matrix_of(16, 16, seed=seed)
    optimizer.step()
    for seed, weight in enumerate(weights):
        alone = stepped(torch.zeros(16, 16), matrix_of(16, 16, seed=seed))
        torch.testing.assert_close(weight.detach(), alone, atol=1e-6, rtol=1e-3)


def test_decay_shrinks_by_rate_times_decay_and_zero_gradients_add_nothing():
    start = matrix_of(16, 16)
    after = stepped(start, torch.zeros(16, 16), weight_decay=0.5)
    torch.testing.assert_close(after, start * (1 - 0.01 * 0.5))


def test_other_groups_are_updated_as_by_torch_adamw():
    ours, theirs = (nn.Parameter(matrix_of(7)) for _ in range(2))
    settings = {"lr": 0.01, "weight_decay": 0.1, "betas": (0.9, 0.98)}
    pairs = [(ours, Muon([{"params": [ours]}], **settings)), (theirs, torch.optim.AdamW([theirs], **settings))]
    for step in range(5):
        for parameter, optimizer in pairs:
            parameter.grad = matrix_of(7, seed=step + 1)
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_resumed_optimizer_continues_where_it_stopped():
    def make() -> tuple[nn.ParameterList, Muon]:
        weights = nn.ParameterList([nn.Parameter(matrix_of(16, 16)), nn.Parameter(matrix_of(5))])
        groups = [{"params": [weights[0]], "matrices": True}, {"params": [weights[1]]}]
        return weights, Muon(groups, lr=0.01)

    def run(weights: nn.ParameterList, optimizer: Muon, steps: range) -> None:
        for step in steps:
            for weight in weights:
                weight.grad = matrix_of(*weight.shape, seed=step)
            optimizer.step()

    straight, optimizer = make()
    run(straight, optimizer, range(6))
    first, optimizer = make()
    run(first, optimizer, range(3))
    second, resumed = make()
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(second, resumed, range(3, 6))
    for a, b in zip(straight, second, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_parameters_without_gradient_stay():
    weights = [nn.Parameter(matrix_of(16, 16)), nn.Parameter(matrix_of(16, 16))]
    before = weights[1].detach().clone()
    optimizer = Muon([{"params": weights, "matrices": True, "weight_decay": 0.1}])
    weights[0].grad = matrix_of(16, 16, seed=2)
    optimizer.step()
    assert torch.equal(weights[1].detach(), before)


def test_closure_is_called_and_its_loss_returned():
    weight = nn.Parameter(matrix_of(16, 16))

    def closure() -> torch.Tensor:
        weight.grad = torch.ones(16, 16)
        return torch.tensor(3.0)

    assert Muon([{"params": [weight], "matrices": True}]).step(closure) == 3
