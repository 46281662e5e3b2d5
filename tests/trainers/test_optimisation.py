from __future__ import annotations

import pytest
import torch
from torch import nn

from nnunet_textguided.trainers.muon import Muon
from nnunet_textguided.trainers.optimisation import (
    LEARNING_RATE,
    MATRIX_RATE,
    WEIGHT_DECAY,
    clip_gradients,
    kind_of,
    parameter_groups,
)
from nnunet_textguided.trainers.schedule import WarmupPolyLR


class Toy(nn.Module):
    """Encoder with a mixer, a decoder, queries."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict({"conv": nn.Linear(16, 16), "mixer": nn.Linear(16, 16, bias=False)})
        self.decoder = nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16))
        self.queries = nn.ParameterDict({"background": nn.Parameter(torch.ones(1, 2))})

    def no_weight_decay(self) -> set[str]:
        return {"queries.background"}


def group_of(groups: list[dict], parameter: nn.Parameter) -> dict:
    return next(g for g in groups if any(p is parameter for p in g["params"]))


def make_optimizer(encoder_rate: float) -> torch.optim.Optimizer:
    return Muon(parameter_groups(Toy(), encoder_rate))


def test_pretrained_encoder_gets_a_tenth_and_its_new_mixers_the_full_rate():
    toy = Toy()
    groups = parameter_groups(toy, 0.1)
    assert group_of(groups, toy.encoder["conv"].weight)["base_lr"] == pytest.approx(0.1 * MATRIX_RATE)
    assert group_of(groups, toy.encoder["conv"].bias)["base_lr"] == pytest.approx(0.1 * LEARNING_RATE)
    assert group_of(groups, toy.encoder["mixer"].weight)["base_lr"] == pytest.approx(MATRIX_RATE)
    assert group_of(groups, toy.decoder[0].weight)["base_lr"] == pytest.approx(MATRIX_RATE)


def test_norms_biases_and_queries_are_not_decayed():
    toy = Toy()
    groups = parameter_groups(toy, 0.1)
    for parameter in (toy.decoder[0].bias, toy.decoder[1].weight, toy.queries["background"], toy.encoder["conv"].bias):
        assert group_of(groups, parameter)["weight_decay"] == 0
    assert group_of(groups, toy.decoder[0].weight)["weight_decay"] == WEIGHT_DECAY
    assert group_of(groups, toy.encoder["conv"].weight)["weight_decay"] == WEIGHT_DECAY


def test_every_parameter_is_in_exactly_one_group():
    toy = Toy()
    listed = [id(p) for g in parameter_groups(toy, 0.1) for p in g["params"]]
    assert sorted(listed) == sorted(id(p) for p in toy.parameters())


def test_encoder_from_scratch_learns_at_the_full_rate():
    toy = Toy()
    groups = parameter_groups(toy, 1.0)
    matrix, bias = toy.encoder["conv"].weight, toy.encoder["conv"].bias
    assert group_of(groups, matrix)["base_lr"] == MATRIX_RATE
    assert group_of(groups, bias)["base_lr"] == LEARNING_RATE


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((64,), "exempt"),
        ((64, 64), "matrix"),
        ((64, 32, 3, 3), "matrix"),
        ((64, 1, 7, 7), "matrix"),  # depth-wise: 64 x 49
        ((64, 1, 3, 1, 1), "small"),  # mixer along the slice axis
        ((16, 1, 3, 3), "small"),  # first convolution of one channel
        ((1, 256), "small"),  # bias of a query
    ],
)
def test_only_weights_of_some_size_count_as_matrices(shape: tuple[int, ...], kind: str):
    assert kind_of(nn.Parameter(torch.zeros(shape))) == kind
    group = parameter_groups(nn.ParameterDict({"weight": nn.Parameter(torch.zeros(shape))}))[0]
    assert group["matrices"] == (kind == "matrix")


def test_schedule_warms_up_then_decays_to_zero():
    schedule = WarmupPolyLR(make_optimizer(1.0), total_iterations=100, iterations_per_epoch=10)
    factors = [schedule.factor(i) for i in range(101)]
    assert factors[0] == pytest.approx(1 / 6)  # 5 warm-up iterations, the first step is not zero
    assert max(factors) == factors[5] == pytest.approx(0.95**0.9)
    assert factors[50] == pytest.approx(0.5**0.9)
    assert factors[100] == 0
    assert factors[5:] == sorted(factors[5:], reverse=True)


def test_encoder_stays_at_a_tenth_over_scheduler_steps_and_after_resume():
    optimizer = make_optimizer(0.1)
    schedule = WarmupPolyLR(optimizer, total_iterations=40, iterations_per_epoch=10)

    def ratio(opt: torch.optim.Optimizer) -> float:
        rates = sorted({group["lr"] for group in opt.param_groups if group["matrices"]})
        return rates[0] / rates[-1]

    for epoch in range(2):
        schedule.step(epoch)
        for _ in range(10):
            schedule.step_iteration()
            assert ratio(optimizer) == pytest.approx(0.1)
    resumed = make_optimizer(0.1)
    resumed.load_state_dict(optimizer.state_dict())
    again = WarmupPolyLR(resumed, total_iterations=40, iterations_per_epoch=10)
    again.step(2)
    schedule.step(2)
    assert ratio(resumed) == pytest.approx(0.1)
    assert [g["lr"] for g in resumed.param_groups] == [g["lr"] for g in optimizer.param_groups]


def test_epoch_start_sets_the_iteration_whatever_was_counted_before():
    schedule = WarmupPolyLR(make_optimizer(1.0), total_iterations=40, iterations_per_epoch=10)
    schedule.step_iteration()
    schedule.step(3)
    assert schedule.iteration == 30


def test_gradients_are_clipped_to_norm_one_before_the_step():
    weight = nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    optimizer.register_step_pre_hook(clip_gradients)
    weight.grad = torch.full((4,), 10.0)
    optimizer.step()
    assert weight.detach().norm().item() == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_changes_no_weight_and_the_next_one_does(value):
    torch.manual_seed(0)
    network = Toy()
    optimizer = Muon(parameter_groups(network))
    optimizer.register_step_pre_hook(clip_gradients)
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    network.decoder[0].weight.grad[3, 5] = value
    optimizer.step()
    assert all(torch.equal(parameter, before[name]) for name, parameter in network.named_parameters())
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
    assert not any(torch.equal(parameter, before[name]) for name, parameter in network.named_parameters())
