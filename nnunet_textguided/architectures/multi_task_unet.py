"""A U-Net that learns findings beside its segmentation: one encoder, two heads, no text."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from nnunet_textguided.architectures.finding_head import FindingHead


class MultiTaskUNet(nn.Module):
    """Shared encoder; the U-Net's own decoder segments, a head finds.

    Without a head it is the U-Net: equal outputs, equal names of parameters. nnU-Net switches
    `decoder.deep_supervision`.

    Args:
        unet: Its `encoder` gives the skips, stride 1 first; its `decoder` takes them, has the flag `deep_supervision`,
            and returns all supervised levels while that is on, else the segmentation.
        finding_head: Skips -> finding maps; None = no findings.
    """

    def __init__(self, unet: nn.Module, finding_head: FindingHead | None = None) -> None:
        super().__init__()
        self.encoder: Any = unet.encoder  # nnU-Net's modules, of which no more is typed than that they are modules
        self.decoder: Any = unet.decoder
        self.finding_head = finding_head

    @property
    def num_findings(self) -> int:
        """Number of finding maps."""
        return 0 if self.finding_head is None else self.finding_head.num_findings

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Score an image (B, C, H, W) or (B, C, D, H, W) of a size that the U-Net takes.

        Returns:
            While `decoder.deep_supervision` is on the U-Net's levels, (B, num_classes, ...) each, followed by the
            finding maps if there are findings. While it is off the segmentation alone.
        """
        skips = self.encoder(x)
        outputs = self.decoder(skips)
        if not self.decoder.deep_supervision or self.finding_head is None:
            return outputs
        return [*outputs, self.finding_head(skips)]

    def forward_with_findings(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Score structures and findings, whatever the flag says.

        Args:
            x: (B, C, H, W) or (B, C, D, H, W).

        Returns:
            Segmentation logits (B, num_classes, ...) and finding logits (B, num_findings, ...) in float32, both at
            full resolution.
        """
        skips = self.encoder(x)
        outputs = self.decoder(skips)
        segmentation = outputs[0] if self.decoder.deep_supervision else outputs
        if self.finding_head is None:
            return segmentation, x.new_zeros(len(x), 0, *x.shape[2:], dtype=torch.float32)
        return segmentation, self.finding_head(skips)


def multi_task_unet(unet: nn.Module, num_findings: int) -> MultiTaskUNet:
    """Give a U-Net that nnU-Net planned a head for findings.

    Args:
        unet: Its encoder also says `output_channels` and `strides` (from stage to stage), as nnU-Net's do.
        num_findings: Number of findings, may be 0.
    """
    if num_findings == 0:
        return MultiTaskUNet(unet)
    encoder: Any = unet.encoder
    strides = np.cumprod(encoder.strides, axis=0).tolist()
    return MultiTaskUNet(unet, FindingHead(encoder.output_channels, strides, num_findings))
