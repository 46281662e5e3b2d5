"""Learning rate: linear warm-up, then polynomial decay, counted in iterations."""

from __future__ import annotations

import torch


class WarmupPolyLR:
    """Sets every parameter group to its own base rate times one common factor.

    nnU-Net's scheduler writes one rate into all groups, which would raise a pretrained encoder to the rate of the
    decoder. Like nnU-Net's, it is stepped with the epoch, and then once an iteration in between. The base rate is an
    entry of the group, `base_lr`, so it is saved and restored with the optimizer.

    Args:
        optimizer: Its groups carry `base_lr`.
        total_iterations: Iterations of the whole training.
        iterations_per_epoch: What one epoch counts.
        warmup: Share of the training during which the rate rises linearly.
        exponent: Of the polynomial decay; 0.9 as in nnU-Net.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        total_iterations: int,
        iterations_per_epoch: int,
        warmup: float = 0.05,
        exponent: float = 0.9,
    ) -> None:
        self.optimizer = optimizer
        self.total_iterations = total_iterations
        self.iterations_per_epoch = iterations_per_epoch
        self.warmup_iterations = round(warmup * total_iterations)
        self.exponent = exponent
        self.step(0)

    def factor(self, iteration: int) -> float:
        """Common factor on all base rates at an iteration (0-based)."""
        rise = min(1.0, (iteration + 1) / (self.warmup_iterations + 1))
        decay = max(0.0, 1 - iteration / self.total_iterations) ** self.exponent
        return rise * decay

    def step(self, epoch: int) -> None:
        """Go to the start of an epoch (called by nnU-Net)."""
        self.iteration = epoch * self.iterations_per_epoch
        self._apply()

    def step_iteration(self) -> None:
        """Set the rates of the coming iteration and count it."""
        self._apply()
        self.iteration += 1

    def _apply(self) -> None:
        factor = self.factor(self.iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
