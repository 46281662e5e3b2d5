"""The image encoder of a plan: timm's ConvNeXt V2 itself in 2D, the same lifted to volumes in 3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import timm
import torch
from timm.models import FeatureListNet
from torch import nn

from nnunet_textguided.architectures.convnext_volume import ConvNeXtVolume
from nnunet_textguided.architectures.encoder_names import check_encoder_name


def build_encoder(
    name: str, input_channels: int, strides: Sequence[Sequence[int]], drop_path_rate: float = 0.0
) -> FeatureListNet | ConvNeXtVolume:
    """Build an encoder with random weights; nothing is downloaded.

    Args:
        name: timm's name of a ConvNeXt V2, a pretrained tag is ignored.
        input_channels: Image channels.
        strides: Cumulative strides of levels 0..5 (`level_strides`).
        drop_path_rate: Stochastic depth.

    Returns:
        A module from an image (B, C, ...) to the list of features of levels 2..5, with `feature_info.channels()`.

    Raises:
        UserError: timm has no such encoder.
    """
    architecture = check_encoder_name(name).split(".")[0]
    if len(strides[0]) == 2:
        return slice_encoder(architecture, input_channels, drop_path_rate)
    return ConvNeXtVolume(
        slice_encoder(architecture, input_channels, drop_path_rate),
        through_plane_strides=[stride[0] for stride in strides[2:]],
    )


def slice_encoder(architecture: str, input_channels: int, drop_path_rate: float = 0.0) -> FeatureListNet:
    """Timm's own 2D feature network.

    Args:
        architecture: timm's name without tag.
        input_channels: Image channels.
        drop_path_rate: Stochastic depth.
    """
    network = timm.create_model(
        architecture,
        pretrained=False,
        features_only=True,
        out_indices=(0, 1, 2, 3),
        in_chans=input_channels,
        drop_path_rate=drop_path_rate,
    )
    initialise(network)
    return cast(FeatureListNet, network)  # what `features_only` makes of it


def initialise(network: nn.Module) -> None:
    """Draw the weights of layers by their fan-in; timm's standard deviation of 0.02 is made for long trainings.

    The first convolution gets a bias as well: where an image is zero, the layer norm after it would have nothing to
    normalise and would multiply gradients by a thousand.

    Args:
        network: Changed in place.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=module.weight[0].numel() ** -0.5)
    nn.init.trunc_normal_(cast(torch.Tensor, network.get_submodule("stem_0").bias), std=0.1)
