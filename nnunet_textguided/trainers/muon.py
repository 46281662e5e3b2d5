"""Muon: momentum whose matrices are orthogonalised, and AdamW for everything that is not a matrix.

Jordan et al., "Muon" (2024), https://kellerjordan.github.io/posts/muon/; the scale of the update follows Liu et al.,
"Muon is Scalable for LLM Training" (2025), arXiv 2502.16982. torch and timm have the same optimiser, but orthogonalise
in bfloat16 only, which most processors emulate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration, tuned by Jordan et al. for speed: singular values end within 0.7..1.2."""
ITERATIONS = 5
UPDATE_RMS = 0.2
"""Root mean square of an entry of the update at rate 1, about that of AdamW (Liu et al., section 2.2)."""


class Muon(torch.optim.Optimizer):
    """Muon for the groups with `matrices: True`, AdamW for the others.

    A weight of more than two axes counts as the matrix (outputs, inputs x kernel).

    Args:
        params: Parameter groups with `params` and `matrices`, optionally `lr` and `weight_decay`.
        lr: Rate of groups that have none.
        weight_decay: Decoupled decay of groups that have none.
        betas: AdamW's averages.
        eps: AdamW's denominator.
    """

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "weight_decay": weight_decay, "matrices": False, "betas": betas, "eps": eps}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # overloaded
        """Update all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            if group["matrices"]:
                self._step_matrices(group, parameters)
            else:
                self._step_others(group, parameters)
        return loss

    def _step_matrices(self, group: dict[str, Any], parameters: list[torch.Tensor]) -> None:
        gradients = _gradients(parameters)
        momentum = [self._average(parameter, "momentum") for parameter in parameters]
        torch._foreach_lerp_(momentum, gradients, 1 - MOMENTUM)
        ahead = torch._foreach_lerp(gradients, momentum, MOMENTUM)  # Nesterov's look-ahead
        same_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, parameter in enumerate(parameters):
            same_shape[tuple(parameter.shape)].append(index)
        for indices in same_shape.values():  # one batched product instead of many small ones
            stack = torch.stack([ahead[index].flatten(1) for index in indices])
            scale = UPDATE_RMS * max(stack.shape[1:]) ** 0.5
            for index, update in zip(indices, orthogonalise(stack), strict=True):
                parameters[index].add_(update.reshape(parameters[index].shape), alpha=-group["lr"] * scale)

    def _step_others(self, group: dict[str, Any], parameters: list[torch.Tensor]) -> None:
        gradients = _gradients(parameters)
        first = [self._average(parameter, "exp_avg") for parameter in parameters]
        second = [self._average(parameter, "exp_avg_sq") for parameter in parameters]
        beta_1, beta_2 = group["betas"]
        torch._foreach_lerp_(first, gradients, 1 - beta_1)
        torch._foreach_mul_(second, beta_2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta_2)
        group["steps"] = group.get("steps", 0) + 1  # Kingma and Ba's correction of the averages' start at zero
        root = torch._foreach_sqrt(second)
        torch._foreach_div_(root, (1 - beta_2 ** group["steps"]) ** 0.5)
        torch._foreach_add_(root, group["eps"])
        torch._foreach_addcdiv_(parameters, first, root, -group["lr"] / (1 - beta_1 ** group["steps"]))

    def _average(self, parameter: torch.Tensor, name: str) -> torch.Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        return state[name]


def _gradients(parameters: list[torch.Tensor]) -> list[torch.Tensor]:
    return [
        parameter.grad for parameter in parameters if parameter.grad is not None
    ]  # `step` chose those that have one


def orthogonalise(matrices: torch.Tensor) -> torch.Tensor:
    """Bring all singular values near 1 by a Newton-Schulz iteration.

    The iteration X <- (a + b X X^T + c (X X^T)^2) X multiplies X by polynomials of its Gram matrix X X^T. They
    commute, so they are multiplied with each other first, in the size of the shorter side.

    Args:
        matrices: (N, rows, columns), any floating type.

    Returns:
        (N, rows, columns) in the type of `matrices`, singular values within about 0.7..1.2 (zero ones stay zero).
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).float()
    x = x / x.flatten(1).norm(dim=1).clamp_min(1e-7)[:, None, None]
    gram = x @ x.mT
    product = None
    for iteration in range(ITERATIONS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else product @ factor
        if iteration < ITERATIONS - 1:
            gram = gram @ factor @ factor
    x = product @ x
    return (x.mT if tall else x).to(matrices.dtype)
