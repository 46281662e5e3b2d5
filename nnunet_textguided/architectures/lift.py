"""Turns the state dict of a 2D RGB ConvNeXt V2 into that of an encoder for other channels and for volumes."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from nnunet_textguided.architectures.convnext_volume import repeat_over_slices

STEM_KERNEL = "stem_0.weight"


def feature_network_keys(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename timm's keys to those of timm's `features_only` networks: `stages.0.` -> `stages_0.`.

    Args:
        state: State dict in either naming.
    """
    return {re.sub(r"^(stem|stages)\.(\d+)\.", r"\1_\2.", key): value for key, value in state.items()}


def adapt_input_channels(kernel: torch.Tensor, input_channels: int) -> torch.Tensor:
    """Let a stem kernel (O, I, kH, kW) read another number of channels.

    Equal numbers are left alone. Otherwise every channel gets the sum over the old ones divided by the new number, so
    an image repeated over its channels gives what a grey picture gave; for one channel this is timm's own rule.

    Args:
        kernel: Stem kernel.
        input_channels: New number of channels C.
    """
    if kernel.shape[1] == input_channels:
        return kernel
    return kernel.sum(dim=1, keepdim=True).repeat(1, input_channels, 1, 1) / input_channels


def lift_encoder_state(
    state: Mapping[str, torch.Tensor], input_channels: int, factors: Mapping[str, int]
) -> dict[str, torch.Tensor]:
    """Adapt a 2D state dict to an encoder.

    Args:
        state: State dict with the keys of timm's `features_only` network.
        input_channels: Image channels of the encoder.
        factors: Kernels that read several slices, by key (`ConvNeXtVolume.slice_factors`); empty in 2D.

    Returns:
        The state dict of the encoder without its slice mixers.
    """
    lifted = dict(state)
    lifted[STEM_KERNEL] = adapt_input_channels(state[STEM_KERNEL], input_channels)
    for key, factor in factors.items():
        lifted[key] = repeat_over_slices(lifted[key], factor)
    return lifted
