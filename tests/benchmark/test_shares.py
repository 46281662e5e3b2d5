"""Time is given to the module whose forward or backward pass, or optimiser, it is spent in."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nnunet_textguided.benchmark.roles import FINDING_LOSS, LOSS, OPTIMISER, REST, has_query_head, modules_by_role
from nnunet_textguided.benchmark.setting import Effort
from nnunet_textguided.benchmark.shares import HEAD_SHARE, marked, share_rows, shares_of, step_shares

CPU = torch.device("cpu")
PAUSE = 0.2


class Pause(torch.autograd.Function):
    """Waits going forward, backward, or not at all."""

    @staticmethod
    def forward(ctx, x, forward, backward):
        ctx.backward = backward
        time.sleep(forward)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        time.sleep(ctx.backward)
        return gradient, None, None


class Part(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.forward_pause = self.backward_pause = 0.0

    def forward(self, x):
        return Pause.apply(self.layer(x), self.forward_pause, self.backward_pause)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.stem, self.decoder = Part(), Part(), Part()
        self.queries, self.query_decoder, self.masks = Part(), Part(), Part()

    def forward(self, x):
        head = self.query_decoder(self.queries(x) + self.encoder(x))
        return self.masks(head + self.decoder(self.stem(x)))


class Loss(nn.Module):
    pause = 0.0

    def forward(self, output):
        return Pause.apply(output, self.pause, 0.0).square().mean()


class SlowSGD(torch.optim.SGD):
    pause = 0.0

    def step(self, closure=None):
        time.sleep(self.pause)
        return super().step(closure)


class Trainer:
    def __init__(self):
        self.network, self.loss, self.device, self.fixed_batch = Network(), Loss(), CPU, BATCH
        self.optimizer = SlowSGD(self.network.parameters(), 0.01)

    def train_step(self, batch):
        self.optimizer.zero_grad()
        self.loss(self.network(batch["data"])).backward()
        self.optimizer.step()


BATCH = {"data": torch.ones(2, 4)}


@pytest.fixture
def trainer() -> Trainer:
    made = Trainer()
    step_shares(made, BATCH)  # what is done once is done
    return made


def test_shares_sum_to_one(trainer):
    assert sum(step_shares(trainer, BATCH).values()) == pytest.approx(1)


@pytest.mark.parametrize("place", ["encoder", "query_decoder", "masks"])
@pytest.mark.parametrize("direction", ["forward_pause", "backward_pause"])
def test_a_slow_module_has_most_of_the_step(trainer, place, direction):
    setattr(getattr(trainer.network, place), direction, PAUSE)
    shares = step_shares(trainer, BATCH)
    assert max(shares, key=shares.get) == place.replace("_", " ")
    assert shares[place.replace("_", " ")] > 0.4


def test_a_slow_loss_and_a_slow_optimiser_are_named(trainer):
    trainer.loss.pause = PAUSE
    assert step_shares(trainer, BATCH)[LOSS] > 0.4
    trainer.loss.pause, trainer.optimizer.pause = 0.0, PAUSE
    assert step_shares(trainer, BATCH)[OPTIMISER] > 0.4


def test_head_is_queries_and_masks_together(trainer):
    for place in ("queries", "query_decoder", "masks"):
        getattr(trainer.network, place).forward_pause = PAUSE
    rows = {row.quantity: row for row in share_rows("shares", "Ours", trainer, Effort(1, 0, 1, 1), {"classes": 3})}
    assert rows[HEAD_SHARE].spread.median > 0.5
    assert rows["query decoder"].spread.median == pytest.approx(2 * rows["masks"].spread.median, rel=0.5)
    assert rows[HEAD_SHARE].at == {"classes": 3}


def test_work_outside_every_module_is_the_rest(trainer):
    shares = shares_of(lambda: time.sleep(PAUSE), [("encoder", trainer.network.encoder)], CPU)
    assert shares[REST] > 0.6


def test_a_module_inside_another_counts_for_itself():
    outer, inner = nn.Sequential(Part()), Part()
    outer.append(inner)
    inner.forward_pause = PAUSE
    modules = [("pixel decoder", outer), ("lesion branch", inner)]
    assert shares_of(lambda: outer(torch.ones(2, 4)), modules, CPU)["lesion branch"] > 0.4


def test_no_hook_is_left_behind_even_after_an_error(trainer):
    with pytest.raises(RuntimeError, match="stop"), marked(modules_by_role(trainer)):
        raise RuntimeError("stop")
    hooks = (module._forward_hooks or module._forward_pre_hooks for module in trainer.network.modules())
    assert not any(hooks)


def test_real_networks_have_their_parts_found(bench):
    ours, stock = (modules_by_role(bench.trainer(system)) for system in reversed(bench.setting.systems))
    assert [role for role, _ in ours] == [
        *("encoder", "stem", "pixel decoder", "query decoder", "query decoder", "masks", "loss"),
    ]
    assert [role for role, _ in stock] == ["encoder", "pixel decoder", "loss"]


def test_loss_of_findings_is_told_from_that_of_the_segmentation():
    loss = nn.Module()
    loss.findings = nn.Module()
    trainer = SimpleNamespace(network=nn.Module(), loss=loss)
    assert modules_by_role(trainer) == [(LOSS, loss), (FINDING_LOSS, loss.findings)]
    assert not has_query_head(trainer)
