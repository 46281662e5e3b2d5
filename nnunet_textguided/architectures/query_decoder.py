"""The transformer that lets the class queries see each other and the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_textguided.architectures.positions import sine_positions


class MaskVectors(NamedTuple):
    """What scores the voxels: `weights` (B, Q, C) and `biases` (B, Q).

    The last entries of a weight are for the details at full resolution, those before for the pixel features.
    """

    weights: torch.Tensor
    biases: torch.Tensor

    def of(self, queries: slice, width: int) -> MaskVectors:
        """Some of the queries, and the first entries of their weights.

        Args:
            queries: Which.
            width: Number of entries.
        """
        return MaskVectors(self.weights[:, queries, :width], self.biases[:, queries])


class Attention(nn.Module):
    """Multi-head attention of queries (B, Q, width) to tokens (B, T, width).

    Args:
        width: Width of tokens.
        heads: Number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Attend."""
        parts = (self.query(queries), self.key(tokens), self.value(tokens))
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class QueryLayer(nn.Module):
    """Pre-norm layer: self-attention, cross-attention to image tokens, feed-forward; each added to its input.

    Args:
        width: Width of tokens.
        heads: Number of heads.
        expansion: Hidden width of the feed-forward part over `width`.
    """

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads)
        self.norm_cross = nn.LayerNorm(width)
        self.cross_attention = Attention(width, heads)
        self.norm_feed = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))

    def forward(self, x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Refine queries x (B, Q, width) with image tokens (B, T, width)."""
        normed = self.norm_self(x)
        x = x + self.self_attention(normed, normed)
        x = x + self.cross_attention(self.norm_cross(x), tokens)
        return x + self.feed(self.norm_feed(x))


class QueryDecoder(nn.Module):
    """Queries and coarse image features -> mask vectors and biases.

    Image tokens are the features of the given levels, each normalised and projected to `width`, with sine positions
    and the level's embedding. In Mask2Former keys alone carry positions; here values do, too: a query that has found
    its vertebra then knows where it lies, and in self-attention so do the queries of its neighbours. No parameter is
    indexed by class.

    Args:
        feature_channels: Channels of the levels attended to (strides 32 and 16).
        width: Width of queries and tokens.
        mask_width: Entries of a mask vector.
        layers: Number of layers.
        heads: Number of heads.
        expansion: Feed-forward expansion.
    """

    def __init__(
        self,
        feature_channels: Sequence[int],
        width: int,
        mask_width: int,
        layers: int = 3,
        heads: int = 8,
        expansion: int = 4,
    ) -> None:
        super().__init__()
        self.width = width
        self.token_norms = nn.ModuleList(nn.LayerNorm(channels) for channels in feature_channels)
        self.token_projections = nn.ModuleList(nn.Linear(channels, width) for channels in feature_channels)
        self.level = nn.Parameter(0.02 * torch.randn(len(feature_channels), width))
        self.layers = nn.ModuleList(QueryLayer(width, heads, expansion) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.to_mask = nn.Linear(width, mask_width)
        self.to_bias = nn.Linear(width, 1)
        self._initialise()

    def _initialise(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
                if name.endswith((".out", ".feed.2")):
                    # A layer starts as a small correction, so the class identity of a query survives.
                    with torch.no_grad():
                        module.weight.mul_(0.1)
        nn.init.normal_(self.to_mask.weight, std=0.5 * self.width**-0.5)
        nn.init.zeros_(self.to_bias.weight)

    def _tokens(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        tokens = []
        for feature, norm, project, level in zip(
            features, self.token_norms, self.token_projections, self.level, strict=True
        ):
            token = project(norm(feature.flatten(2).transpose(1, 2)))
            positions = sine_positions(feature.shape[2:], self.width, feature.device)
            tokens.append(token + (positions + level).to(token.dtype))
        return torch.cat(tokens, dim=1)

    def forward(self, queries: torch.Tensor, features: Sequence[torch.Tensor]) -> MaskVectors:
        """Refine the queries.

        Args:
            queries: (Q, width), the same for all images.
            features: Image features (B, C_k, ...) of the levels given at construction.
        """
        tokens = self._tokens(features)
        x = queries.to(tokens.dtype).expand(tokens.shape[0], -1, -1)
        for layer in self.layers:
            x = layer(x, tokens)
        x = self.norm(x)
        return MaskVectors(self.to_mask(x), self.to_bias(x).squeeze(2))
