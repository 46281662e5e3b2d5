"""timm's ConvNeXt V2, reading visible patches only."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import timm
import torch
from torch import nn

from nnunet_textguided.architectures import check_encoder_name
from nnunet_textguided.pretraining.masking import visible_at


class MaskedEncoder(nn.Module):
    """A ConvNeXt V2 whose visible features do not depend on hidden pixels.

    The original does this with sparse convolutions. Features of hidden places are set to zero before everything that
    mixes places: the depth-wise convolutions, and the response normalisation, which sums over the slice. Stem and
    down-sampling stay within a patch. Visible features are then the same, with ordinary convolutions.

    Args:
        architecture: timm's name of a ConvNeXt V2; a tag after a dot is ignored.
        input_channels: Image channels C.
        drop_path_rate: Stochastic depth.

    Raises:
        UserError: timm has no such encoder.
    """

    def __init__(self, architecture: str, input_channels: int, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        self.architecture = check_encoder_name(architecture).split(".")[0]
        self.model: Any = timm.create_model(  # timm's ConvNeXt
            self.architecture,
            pretrained=False,
            num_classes=0,
            in_chans=input_channels,
            drop_path_rate=drop_path_rate,
        )
        self.model.head.requires_grad_(False)  # a norm that stays in the file and is not used; DDP waits for gradients
        self._mask: torch.Tensor | None = None
        for stage in cast(Any, self.model).stages:
            for block in stage.blocks:
                block.conv_dw.register_forward_pre_hook(partial(self._hide, channels_last=False))
                last = block.mlp.grn.channel_dim == -1  # timm's small networks have channels first there
                block.mlp.grn.register_forward_pre_hook(partial(self._hide, channels_last=last))

    @property
    def num_features(self) -> int:
        """Channels of the coarsest features."""
        return self.model.num_features

    def forward(self, images: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Encode slices.

        Args:
            images: (B, C, H, W), H and W multiples of 32.
            mask: (B, H / 32, W / 32) bool, true = hidden; None = all is visible.

        Returns:
            (B, num_features, H / 32, W / 32); features of hidden patches mean nothing.
        """
        self._mask = mask
        try:
            return self.model.stages(self.model.stem(images))
        finally:
            self._mask = None

    def _hide(self, module: nn.Module, inputs: tuple[torch.Tensor, ...], *, channels_last: bool) -> torch.Tensor | None:
        if self._mask is None:
            return None
        x = inputs[0]
        if not channels_last:
            return x * visible_at(self._mask, x.shape[2:])
        return x * visible_at(self._mask, x.shape[1:3]).movedim(1, -1)
