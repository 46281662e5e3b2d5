"""The whole network: an image in, one score a class and voxel out, and finding maps where a head for them is given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from nnunet_textguided.architectures.finding_head import FindingHead
from nnunet_textguided.architectures.mixed_transformer.decoder import MixedDecoder
from nnunet_textguided.architectures.mixed_transformer.encoder import MixedEncoder
from nnunet_textguided.architectures.mixed_transformer.spec import MixedTransformerSpec
from nnunet_textguided.architectures.text_guided_network import crop, pad_to_multiple


class MixedTransformerUNet(nn.Module):
    """Mixed Transformer U-Net for 2D images of any size.

    Images are padded by their border to the total stride, outputs are cropped. As published there is one segmentation
    output, so nnU-Net's deep supervision has one level.

    Args:
        spec: Widths, blocks, classes.
        finding_head: Skips (as `features` returns them) -> maps (B, F, H, W) at the size of the first skip; None = no
            findings. Its own parameters that depend on the number of findings carry `.seg_layers.` in their names.

    Attributes:
        skip_channels: Widths of the skips, full resolution first.
        skip_strides: Their cumulative strides, a pair each.
    """

    def __init__(self, spec: MixedTransformerSpec, finding_head: FindingHead | None = None) -> None:
        super().__init__()
        self.encoder = MixedEncoder(spec)
        self.decoder = MixedDecoder(spec)
        self.finding_head = finding_head
        self.skip_channels = self.encoder.channels
        self.skip_strides = self.encoder.strides

    @property
    def num_findings(self) -> int:
        """Number of finding maps."""
        return 0 if self.finding_head is None else self.finding_head.num_findings

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay would harm: vectors, norms, biases, positions."""
        vectors = {name for name, parameter in self.named_parameters() if parameter.ndim <= 1}
        return vectors | {"encoder.positions"}

    def features(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Encode and decode an image (B, C, H, W) of any size.

        Returns:
            Segmentation logits (B, num_classes, H', W') and the features of all encoder levels (stride 1 first, the
            bottleneck last), both at the padded size H' x W', the next multiples of the last stride.
        """
        skips = self.encoder(pad_to_multiple(x, self.skip_strides[-1]))
        return self.decoder(skips), skips

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Score an image (B, C, H, W).

        Returns:
            While `decoder.deep_supervision` is on [logits (B, num_classes, H, W)], followed by the finding maps (B, F,
            H, W) if there is a head for them. While it is off the logits alone.
        """
        logits, skips = self.features(x)
        logits = crop(logits, x.shape[2:])
        if not self.decoder.deep_supervision:
            return logits
        if self.finding_head is None:
            return [logits]
        return [logits, self._find(skips, x.shape[2:])]

    def forward_with_findings(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Score structures and findings, whatever the flag says.

        Args:
            x: (B, C, H, W).

        Returns:
            Segmentation logits (B, num_classes, H, W) and finding logits (B, F, H, W) in float32; F = 0 without a head.
        """
        logits, skips = self.features(x)
        return crop(logits, x.shape[2:]), self._find(skips, x.shape[2:])

    def _find(self, skips: Sequence[torch.Tensor], size: Sequence[int]) -> torch.Tensor:
        if self.finding_head is None:
            return skips[0].new_zeros(len(skips[0]), 0, *size, dtype=torch.float32)
        with torch.autocast(device_type=skips[0].device.type, enabled=False):
            return crop(self.finding_head([skip.float() for skip in skips]), size)


def mixed_transformer_unet(spec: MixedTransformerSpec, num_findings: int) -> MixedTransformerUNet:
    """Build the network with a head for findings on its encoder.

    Args:
        spec: Widths, blocks, classes.
        num_findings: Number of findings, may be 0.
    """
    if num_findings == 0:
        return MixedTransformerUNet(spec)
    channels = (*spec.stem_channels, *spec.mixed_channels)
    strides = [(2**level, 2**level) for level in range(len(channels))]
    return MixedTransformerUNet(spec, FindingHead(channels, strides, num_findings))
