"""The optimiser that networks with attention and pretrained encoders are trained with, for any trainer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nnunet_textguided.trainers.host import TrainerHost
from nnunet_textguided.trainers.muon import Muon
from nnunet_textguided.trainers.schedule import WarmupPolyLR

MATRIX_RATE = 6e-3
"""Rate of weight matrices, which Muon updates."""
LEARNING_RATE = 1e-3
"""Rate of everything else, which AdamW updates."""
SMALLEST_SIDE = 16
"""Weights with fewer rows or columns are no matrices worth orthogonalising."""
WEIGHT_DECAY = 5e-2
BETAS = (0.9, 0.98)
"""As nnU-Net's own transformer (Primus)."""
MAX_GRADIENT_NORM = 1.0
"""nnU-Net clips at 12, which is made for SGD."""
PRETRAINED_RATE = 0.1
"""Factor on the rate of pretrained weights (Mask2Former and DenseCLIP use the same)."""


def parameter_groups(network: nn.Module, encoder_rate: float = 1.0) -> list[dict[str, Any]]:
    """Sort parameters by optimiser, rate and weight decay; the group of the decoder's matrices comes first.

    Norms, biases and GRN are not decayed, nor what the network names in `no_weight_decay()`; AdamW updates these, and
    small weights. Layers that a pretrained encoder did not have before (the mixers along the slice axis) learn at the
    full rate.

    Args:
        network: Its encoder, if it has pretrained weights, sits at `encoder`.
        encoder_rate: Factor on the rate of `encoder`.

    Returns:
        Groups with `params`, `base_lr`, `lr`, `weight_decay` and `matrices`; empty ones are left out.
    """
    groups: dict[tuple[bool, str], dict[str, Any]] = {}
    for slow in (False, True):
        for kind in ("matrix", "small", "exempt"):
            rate = (MATRIX_RATE if kind == "matrix" else LEARNING_RATE) * (encoder_rate if slow else 1.0)
            decay = 0.0 if kind == "exempt" else WEIGHT_DECAY
            groups[slow, kind] = {
                "params": [],
                "base_lr": rate,
                "lr": rate,
                "weight_decay": decay,
                "matrices": kind == "matrix",
            }
    exempt: set[str] = getattr(network, "no_weight_decay", set)()
    for name, parameter in network.named_parameters():
        name = name.removeprefix("_orig_mod.")  # torch.compile's prefix
        slow = encoder_rate != 1.0 and name.startswith("encoder.") and "mixer" not in name
        kind = "exempt" if name in exempt else kind_of(parameter)
        groups[slow, kind]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]


def kind_of(parameter: torch.Tensor) -> str:
    """`exempt` (from decay) for vectors, `matrix` for weights of some size, `small` for the others."""
    if parameter.ndim <= 1:
        return "exempt"
    return "matrix" if min(parameter.shape[0], parameter[0].numel()) >= SMALLEST_SIDE else "small"


def clip_gradients(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
    """Step hook: bound the norm of all gradients by `MAX_GRADIENT_NORM`; drop them where it is not finite.

    One such step would leave no finite weight behind. (On a GPU in float16 torch's gradient scaler does the same.)
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
    if not torch.isfinite(norm):
        optimizer.zero_grad(set_to_none=True)


class MuonWithWarmup(TrainerHost):
    """Mixin for nnU-Net trainers: Muon and AdamW, warm-up of 5 %, polynomial decay, gradient norm of at most 1."""

    encoder_rate: float = 1.0

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, WarmupPolyLR]:
        """Build optimiser and schedule; nnU-Net calls this in `initialize`."""
        self.initial_lr, self.weight_decay = MATRIX_RATE, WEIGHT_DECAY  # what nnU-Net writes into its logs
        optimizer = Muon(parameter_groups(self.network, self.encoder_rate), betas=BETAS)
        optimizer.register_step_pre_hook(clip_gradients)
        total = self.num_epochs * self.num_iterations_per_epoch
        return optimizer, WarmupPolyLR(optimizer, total, self.num_iterations_per_epoch)

    def train_step(self, batch: dict) -> dict:
        """nnU-Net's step at the rate of this iteration."""
        self.lr_scheduler.step_iteration()
        return super().train_step(batch)
