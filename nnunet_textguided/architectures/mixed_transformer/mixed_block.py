"""The mixed transformer module: attention inside the image, then to the memory."""

from __future__ import annotations

import torch
from torch import nn

from nnunet_textguided.architectures.mixed_transformer.external_attention import ExternalAttention
from nnunet_textguided.architectures.mixed_transformer.local_global_attention import LocalGlobalAttention
from nnunet_textguided.architectures.mixed_transformer.spec import MixedTransformerSpec

NORM_EPSILON = 1e-6
"""Of layer norms; the authors' value."""


class MixedBlock(nn.Module):
    """x + LGG-SA(norm(x)), then x + external attention(norm(x)); no multi-layer perceptron follows.

    The second norm has no bias: external attention does not hear what is the same for all tokens.

    Args:
        channels: Width of a token.
        spec: Heads, window and memory.
    """

    def __init__(self, channels: int, spec: MixedTransformerSpec) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(channels, eps=NORM_EPSILON)
        self.self_attention = LocalGlobalAttention(channels, spec.heads, spec.window)
        self.external_norm = nn.LayerNorm(channels, eps=NORM_EPSILON, bias=False)
        self.external_attention = ExternalAttention(channels, spec.heads, spec.memory_slots, spec.memory_expansion)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the block to tokens (B, H, W, C)."""
        x = x + self.self_attention(self.self_norm(x))
        return x + self.external_attention(self.external_norm(x))


class MixedLevel(nn.Module):
    """All mixed blocks of one resolution.

    Args:
        channels: Width of a token.
        spec: Number of blocks, heads, window and memory.
    """

    def __init__(self, channels: int, spec: MixedTransformerSpec) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(MixedBlock(channels, spec) for _ in range(spec.blocks_per_level)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the blocks to features (B, C, H, W)."""
        return self.blocks(x.movedim(1, -1)).movedim(-1, 1).contiguous()
