"""The image encoder of a plan: timm's ConvNeXt V2 itself in 2D, the same lifted to volumes in 3D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import timm
from timm.models import FeatureListNet

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
    return cast(FeatureListNet, network)  # what `features_only` makes of it
