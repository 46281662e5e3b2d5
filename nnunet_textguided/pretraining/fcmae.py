"""Fully convolutional masked autoencoder: hide patches of a slice, have their pixels told from the rest.

Woo et al., "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders", CVPR 2023.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from timm.models.convnext import ConvNeXtBlock
from torch import nn

from nnunet_textguided.pretraining.image_settings import PATCH
from nnunet_textguided.pretraining.masked_encoder import MaskedEncoder
from nnunet_textguided.pretraining.masking import patchify, unpatchify

DECODER_WIDTH = 512
"""Channels of the decoder's one block (Woo et al., table 1: depth and width of the decoder hardly matter)."""
VARIANCE_FLOOR = 1e-6
"""Added to a patch's variance before it is normalised, as in He et al., "Masked Autoencoders", CVPR 2022."""


class Reconstruction(NamedTuple):
    """What the autoencoder makes of slices.

    Attributes:
        loss: Mean squared error over hidden patches, in units of each patch's own standard deviation; a scalar.
        prediction: (B, h, w, C * 32 * 32), normalised pixels of all patches.
    """

    loss: torch.Tensor
    prediction: torch.Tensor


class MaskedAutoencoder(nn.Module):
    """Masked encoder -> mask token at hidden places -> one ConvNeXt block -> pixels.

    Args:
        encoder: Reads visible patches.
        input_channels: Image channels C.
        decoder_width: Channels of the decoder.
    """

    def __init__(self, encoder: MaskedEncoder, input_channels: int, decoder_width: int = DECODER_WIDTH) -> None:
        super().__init__()
        self.encoder = encoder
        self.input_channels = input_channels
        self.project = nn.Conv2d(encoder.num_features, decoder_width, 1)
        self.mask_token = nn.Parameter(torch.zeros(1, decoder_width, 1, 1))
        nn.init.normal_(self.mask_token, std=0.02)
        self.block = ConvNeXtBlock(decoder_width, decoder_width, use_grn=True, ls_init_value=None)
        self.predict = nn.Conv2d(decoder_width, PATCH * PATCH * input_channels, 1)

    def no_weight_decay(self) -> set[str]:
        """Parameters that are no weights, though they have more than one axis."""
        return {"mask_token"}

    def forward(self, images: torch.Tensor, mask: torch.Tensor) -> Reconstruction:
        """Reconstruct slices.

        Args:
            images: (B, C, H, W), H and W multiples of 32.
            mask: (B, H / 32, W / 32) bool, true = hidden.
        """
        x = self.project(self.encoder(images, mask))
        x = torch.where(mask[:, None], self.mask_token.to(x.dtype), x)
        prediction = self.predict(self.block(x)).movedim(1, -1)
        return Reconstruction(masked_error(prediction, images, mask), prediction)

    def paint(self, prediction: torch.Tensor, images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Put predicted pixels in the place of hidden ones, (B, C, H, W) in the images' units.

        Args:
            prediction: Of `forward`, normalised.
            images: The slices; mean and spread of each hidden patch are taken from them, as the network tells neither.
            mask: (B, h, w) bool.
        """
        patches = patchify(images.float())
        mean, sd = patch_moments(images)
        painted = torch.where(mask[..., None], prediction.float() * sd + mean, patches)
        return unpatchify(painted, self.input_channels)


def masked_error(prediction: torch.Tensor, images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean squared error over hidden patches of pixels normalised by patch; 1 = no better than each patch's mean.

    Args:
        prediction: (B, h, w, C * 32 * 32), normalised.
        images: (B, C, H, W).
        mask: (B, h, w) bool, true = hidden.
    """
    error = (prediction.float() - normalised_patches(images)).square().mean(-1)
    return (error * mask).sum() / mask.sum().clamp_min(1)


def normalised_patches(images: torch.Tensor) -> torch.Tensor:
    """Pixels of each patch less its mean, over its standard deviation: (B, h, w, C * 32 * 32).

    Args:
        images: (B, C, H, W).
    """
    mean, sd = patch_moments(images)
    return (patchify(images.float()) - mean) / sd


def patch_moments(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each patch's pixels, (B, h, w, 1) each.

    Args:
        images: (B, C, H, W).
    """
    variance, mean = torch.var_mean(patchify(images.float()), dim=-1, keepdim=True)
    return mean, (variance + VARIANCE_FLOOR).sqrt()
