"""From a specification to a network: all the numbers are chosen here, the parts only take them."""

from __future__ import annotations

import torch

from nnunet_textguided.architectures.class_queries import ClassQueries
from nnunet_textguided.architectures.encoder import build_encoder
from nnunet_textguided.architectures.pixel_decoder import PixelDecoder
from nnunet_textguided.architectures.query_decoder import QueryDecoder
from nnunet_textguided.architectures.spec import NetworkSpec, level_kernels, level_strides
from nnunet_textguided.architectures.stem import Stem
from nnunet_textguided.architectures.text_guided_network import TextGuidedNetwork


def build_text_guided_network(spec: NetworkSpec) -> TextGuidedNetwork:
    """Build a network with random weights; nothing is downloaded.

    Args:
        spec: What to build.

    Raises:
        UserError: timm has no such encoder.
    """
    strides = level_strides(spec.pool_op_kernel_sizes)
    kernels = level_kernels(strides)
    encoder = build_encoder(spec.encoder, spec.input_channels, strides, spec.drop_path_rate)
    wide, pixel, query = spec.widths
    stem_channels = (pixel // 4, pixel // 2)
    skip_channels = [*stem_channels, *encoder.feature_info.channels()]
    return channels_last(
        TextGuidedNetwork(
            encoder=encoder,
            stem=Stem(spec.input_channels, stem_channels, (kernels[0], kernels[1]), strides[1]),
            decoder=PixelDecoder(
                skip_channels=skip_channels,
                strides=strides,
                kernels=kernels,
                widths=[pixel, pixel, wide // 2, wide, wide],
                pixel_width=pixel,
                detail_width=spec.detail_width,
                lesions=spec.num_findings > 0,
                deep_supervision=spec.deep_supervision,
            ),
            queries=ClassQueries(spec.num_structures, spec.num_findings, spec.embedding_dim, query),
            query_decoder=QueryDecoder([skip_channels[5], skip_channels[4]], query, pixel + spec.detail_width),
            strides=strides,
        )
    )


def channels_last(network: TextGuidedNetwork) -> TextGuidedNetwork:
    """Store convolution kernels with the channels last.

    The layer norms of ConvNeXt give features in this format anyway; kernels in it spare copies between the two, and
    its convolutions are faster on the CPU (docs/decisions.md).

    Args:
        network: Changed in place.

    Returns:
        The network.
    """
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in network.parameters():
        if parameter.ndim in formats:
            parameter.data = parameter.data.contiguous(memory_format=formats[parameter.ndim])
    return network
