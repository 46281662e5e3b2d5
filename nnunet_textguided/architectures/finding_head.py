"""Finding maps from the skips of any U-Net: what the baselines have in place of finding queries."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import nn

from nnunet_textguided.architectures.blocks import ConvBlock, convolution, upsample
from nnunet_textguided.architectures.lesion_branch import LesionFeatures
from nnunet_textguided.architectures.spec import level_kernels

STEM_CHANNELS, PIXEL_CHANNELS, LESION_CHANNELS = 16, 64, 32
"""Of the text-guided network at its default width, so that both look for lesions with the same layers."""


class FindingHead(nn.Module):
    """Skips -> top-down pathway -> lesion features at the second skip's stride -> a score a finding and voxel.

    The lesion features are those of the text-guided network (`LesionFeatures`), and so is the first scale of the
    scores; what remains different is the encoder, and that a learned 1x1 convolution scores in the place of a query.
    Skips are normalised, so networks with and without norms at their end can take the head.

    Args:
        skip_channels: Channels of the skips, stride 1 first.
        strides: Cumulative strides of the skips, two or three numbers each, the first all ones. The second may be 1
            along an axis, each one divides the next.
        num_findings: Number of findings F.

    Raises:
        ValueError: Fewer than two skips, another number of strides, strides that do not divide, or no finding.
    """

    def __init__(self, skip_channels: Sequence[int], strides: Sequence[Sequence[int]], num_findings: int) -> None:
        super().__init__()
        _check(skip_channels, strides, num_findings)
        self.num_findings = num_findings
        self.factors = [tuple(b // a for a, b in zip(*pair, strict=True)) for pair in pairwise(strides)]
        kernels, point = level_kernels(strides), (1,) * len(strides[0])
        classifier = convolution(LESION_CHANNELS, num_findings, point)
        nn.init.normal_(classifier.weight, std=0.5 * LESION_CHANNELS**-0.5)
        if classifier.bias is not None:  # as torch has it: a convolution may have none
            nn.init.zeros_(classifier.bias)
        # named so, `-pretrained_weights` works from a network without findings to one with, and back
        self.seg_layers = nn.ModuleDict(
            {
                "stem": ConvBlock(skip_channels[0], STEM_CHANNELS, point),
                "laterals": nn.ModuleList(ConvBlock(channels, PIXEL_CHANNELS, point) for channels in skip_channels[1:]),
                "merge": ConvBlock(PIXEL_CHANNELS, PIXEL_CHANNELS, kernels[1], bounded=True),
                "lesions": LesionFeatures(
                    STEM_CHANNELS, PIXEL_CHANNELS, LESION_CHANNELS, (kernels[0], kernels[1]), self.factors[0]
                ),
                "classifier": classifier,
            }
        )

    def forward(self, skips: Sequence[torch.Tensor]) -> torch.Tensor:
        """Look for findings.

        Args:
            skips: (B, C_k, ...), stride 1 first; the size of each is that of the next times the stride between them.

        Returns:
            Logits (B, F, ...) at full resolution, float32, one value a cell of the second skip's grid.
        """
        layers = self.seg_layers
        laterals = cast(nn.ModuleList, layers["laterals"])
        *finer, coarsest = [lateral(skip) for lateral, skip in zip(laterals, skips[1:], strict=True)]
        half = coarsest
        for feature, factors in zip(reversed(finer), reversed(self.factors[1:]), strict=True):
            half = upsample(half, factors) + feature
        lesions = layers["lesions"](layers["stem"](skips[0]), layers["merge"](half))
        with torch.autocast(device_type=lesions.device.type, enabled=False):
            return upsample(layers["classifier"](lesions.float()), self.factors[0])


def _check(skip_channels: Sequence[int], strides: Sequence[Sequence[int]], num_findings: int) -> None:
    if len(skip_channels) < 2 or len(skip_channels) != len(strides):
        raise ValueError(
            f"Expected two skips or more and a stride for each, got {len(skip_channels)} skips and {len(strides)} "
            "strides."
        )
    divide = all(b % a == 0 for pair in pairwise(strides) for a, b in zip(*pair, strict=True))
    if any(s != 1 for s in strides[0]) or not divide:
        raise ValueError(f"Expected cumulative strides that start with ones, each dividing the next, got {strides}.")
    if num_findings < 1:
        raise ValueError(f"Expected at least one finding, got {num_findings}; without any, leave the head out.")
