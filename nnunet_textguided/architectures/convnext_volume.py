"""ConvNeXt V2 for volumes: timm's 2D stages on every slice, slices merged where the plan strides through the plane.

A kernel of 1 x 7 x 7 on a volume is a 7 x 7 kernel on its slices, so slices are put on the batch axis and timm's own
blocks run on them (depth-wise convolution, LayerNorm over channels, GRN with the statistics of one slice). A kernel of
s x 2 x 2 with stride (s, 2, 2) is a 2 x 2 kernel on s neighbouring slices stacked as channels. Between slices, every
block is preceded by a depth-wise 3 x 1 x 1 mixer that starts at zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from timm.models import FeatureListNet
from torch import nn
from torch.nn import functional as F


class SliceMixer(nn.Module):
    """Residual depth-wise convolution over three neighbouring slices, zero at the start.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, channels))

    def forward(self, x: torch.Tensor, depth: int) -> torch.Tensor:
        """Mix slices (B * D, C, H, W); beyond the first and last slice there are zeros.

        Args:
            x: Slices, those of one volume together.
            depth: Number of slices D of a volume.
        """
        volume = x.unflatten(0, (-1, depth))
        padded = F.pad(volume, (0, 0, 0, 0, 0, 0, 1, 1))
        weight = self.weight.to(x.dtype)[:, :, None, None]
        mixed = padded[:, :-2] * weight[0] + volume * weight[1] + padded[:, 2:] * weight[2]
        return x + mixed.flatten(0, 1)


def merge_slices(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Stack neighbouring slices as channels: (B * D, C, H, W) -> (B * D / factor, factor * C, H, W).

    Args:
        x: Slices, those of one volume together and D divisible by `factor`.
        factor: How many slices become one.
    """
    return x if factor == 1 else x.unflatten(0, (-1, factor)).flatten(1, 2)


class ConvNeXtVolume(nn.Module):
    """Volume (B, C, D, H, W) -> features of in-plane strides 4, 8, 16, 32.

    Children have timm's names (`stem_0`, `stages_0`, ...); the only other parameters are `mixers`.

    Args:
        slices: timm's 2D feature network, which gives its modules and is not to be used on its own afterwards.
        through_plane_strides: Cumulative strides of axis 0 at in-plane strides 4, 8, 16, 32.
    """

    stem_0: nn.Conv2d
    stem_1: nn.Module

    def __init__(self, slices: FeatureListNet, through_plane_strides: Sequence[int]) -> None:
        super().__init__()
        self.feature_info = slices.feature_info
        for name, module in slices.named_children():
            self.add_module(name, module)
        previous = [1, *through_plane_strides[:-1]]
        self.factors = [now // before for now, before in zip(through_plane_strides, previous, strict=True)]
        self.stem_0 = _over_slices(self.stem_0, self.factors[0])
        stages = self._stages()
        for stage, factor in zip(stages[1:], self.factors[1:], strict=True):
            stage.downsample[1] = _over_slices(stage.downsample[1], factor)
        self.mixers = nn.ModuleList(
            nn.ModuleList(SliceMixer(channels) for _ in stage.blocks)
            for stage, channels in zip(stages, self.feature_info.channels(), strict=True)
        )

    def _stages(self) -> list[Any]:
        """Timm's `ConvNeXtStage`s; torch knows no more of what hangs on a module than tensor or module."""
        return [self.get_submodule(f"stages_{i}") for i in range(4)]

    def slice_factors(self) -> dict[str, int]:
        """How many slices each strided kernel reads, by its key in the state dict."""
        keys = ["stem_0.weight", *(f"stages_{i}.downsample.1.weight" for i in (1, 2, 3))]
        return dict(zip(keys, self.factors, strict=True))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Encode.

        Args:
            x: (B, C, D, H, W), D divisible by the total through-plane stride and H, W by 32.

        Returns:
            Four tensors (B, C_k, D_k, H_k, W_k), finest first.
        """
        batch = x.shape[0]
        x = merge_slices(x.transpose(1, 2).flatten(0, 1), self.factors[0])
        x = self.stem_1(self.stem_0(x))
        features = []
        for index, (stage, mixers) in enumerate(zip(self._stages(), self.mixers, strict=True)):
            if index > 0:
                x = stage.downsample[1](merge_slices(stage.downsample[0](x), self.factors[index]))
            depth = x.shape[0] // batch
            for mixer, block in zip(cast(nn.ModuleList, mixers), stage.blocks, strict=True):
                x = block(mixer(x, depth))
            features.append(x.unflatten(0, (batch, depth)).transpose(1, 2))
        return features


def _over_slices(conv: nn.Conv2d, factor: int) -> nn.Conv2d:
    """The same convolution reading `factor` slices stacked as channels, kernels repeated and divided by it."""
    if factor == 1:
        return conv
    (height, width), (down, right) = conv.kernel_size, conv.stride
    lifted = nn.Conv2d(conv.in_channels * factor, conv.out_channels, (height, width), (down, right), bias=True)
    state = {"weight": repeat_over_slices(conv.weight.detach(), factor), "bias": conv.bias}
    lifted.load_state_dict(state)
    return lifted


def repeat_over_slices(weight: torch.Tensor, factor: int) -> torch.Tensor:
    """Lift a kernel (O, I, kH, kW) to `factor` slices: (O, factor * I, kH, kW), the response to equal slices kept.

    Args:
        weight: 2D kernel.
        factor: Number of slices.
    """
    return weight.repeat(1, factor, 1, 1) / factor
