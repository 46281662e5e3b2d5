"""The whole network: class vectors and an image in, one score a class and voxel out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_textguided.architectures.blocks import upsample
from nnunet_textguided.architectures.class_queries import ClassQueries
from nnunet_textguided.architectures.pixel_decoder import PixelDecoder, PixelFeatures
from nnunet_textguided.architectures.query_decoder import MaskVectors


class TextGuidedNetwork(nn.Module):
    """Encoder and stem -> pixel decoder -> pixel features; class queries -> query decoder -> mask vectors.

    A voxel's score for a class is the scaled dot product of pixel feature and mask vector plus the query's bias;
    nothing else makes logits. At full resolution the pixel feature is that of stride 2, enlarged, and next to it the
    details: as enlarging is linear, the scores are enlarged in place of the features, which is the same for less.
    Findings are scored on features of their own at stride 2. Features are bounded (-6..6), so logits are.

    Args:
        encoder: Image -> features of levels 2..5.
        stem: Image -> features of levels 0 and 1.
        decoder: Features of levels 0..5 -> pixel features; carries the flag `deep_supervision`.
        queries: () -> queries (1 + structures + findings, width).
        query_decoder: Queries and features -> `MaskVectors`.
        strides: Cumulative strides of levels 0..5.
    """

    def __init__(
        self,
        *,
        encoder: nn.Module,
        stem: nn.Module,
        decoder: PixelDecoder,
        queries: ClassQueries,
        query_decoder: nn.Module,
        strides: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.stem = stem
        self.decoder = decoder
        self.queries = queries
        self.query_decoder = query_decoder
        self.masks = MaskScores()
        self.pixel_width = decoder.pixel_width
        self.strides = tuple(tuple(stride) for stride in strides)

    def set_class_vectors(self, rows: torch.Tensor) -> None:
        """Copy conditioned text rows (structures, then findings; (N, D)) into the network.

        Args:
            rows: Rows in channel order.

        Raises:
            ValueError: Wrong shape, not finite, or a network with learned queries.
        """
        self.queries.set_class_vectors(rows)

    @property
    def num_findings(self) -> int:
        """Number of finding maps."""
        return self.queries.num_findings

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay would harm: vectors, norms, biases, GRN, queries, embeddings."""
        embeddings = {"queries.background", "queries.kind", "queries.seg_layers.vectors", "query_decoder.level"}
        return {name for name, parameter in self.named_parameters() if parameter.ndim <= 1 or name in embeddings}

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        """Score an image (B, C, H, W) or (B, C, D, H, W) of any size.

        Returns:
            While `decoder.deep_supervision` is on [level_0, ..., level_4], level k of (B, num_classes, round(size /
            stride k)), followed by the finding maps if there are findings. While it is off level 0 alone.
        """
        features, vectors = self._features(x)
        size = x.shape[2:]
        segmentation = self._segment(features, vectors, size)
        if not self.decoder.deep_supervision:
            return segmentation
        chosen = vectors.of(self._structures, self.pixel_width)
        outputs = [segmentation]
        for feature, stride in zip(features.coarser, self.strides[1:], strict=False):
            outputs.append(crop(self.masks(feature, chosen), level_size(size, stride)))
        if self.num_findings > 0:
            outputs.append(self._find(features, vectors, size))
        return outputs

    def forward_with_findings(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Score structures and findings, whatever the flag says.

        Args:
            x: (B, C, H, W) or (B, C, D, H, W).

        Returns:
            Segmentation logits (B, num_classes, ...) and finding logits (B, num_findings, ...) in float32, both at
            full resolution.
        """
        features, vectors = self._features(x)
        size = x.shape[2:]
        return self._segment(features, vectors, size), self._find(features, vectors, size)

    def _features(self, x: torch.Tensor) -> tuple[PixelFeatures, MaskVectors]:
        x = pad_to_multiple(x, self.strides[-1])
        skips = [*self.stem(x), *self.encoder(x)]
        vectors = self.query_decoder(self.queries(), [skips[5], skips[4]])
        return self.decoder(skips), vectors

    @property
    def _structures(self) -> slice:
        """Background and structures among the queries."""
        return slice(0, 1 + self.queries.num_structures)

    def _segment(self, features: PixelFeatures, vectors: MaskVectors, size: Sequence[int]) -> torch.Tensor:
        chosen = vectors.of(self._structures, vectors.weights.shape[2])
        return crop(self.masks(features.half, chosen, features.details), size)

    def _find(self, features: PixelFeatures, vectors: MaskVectors, size: Sequence[int]) -> torch.Tensor:
        lesions = features.lesions
        if lesions is None:
            return features.half.new_zeros(len(features.half), 0, *size, dtype=torch.float32)
        with torch.autocast(device_type=lesions.device.type, enabled=False):
            weights, biases = vectors.of(slice(self._structures.stop, None), lesions.shape[1])  # narrower
            chosen = MaskVectors(weights.float(), biases.float())
            return crop(upsample(self.masks(lesions.float(), chosen), self.strides[1]), size)


class MaskScores(nn.Module):
    """Pixel features and mask vectors -> scores; a module, so what measures or replaces the masks finds them."""

    def forward(self, feature: torch.Tensor, vectors: MaskVectors, details: torch.Tensor | None = None) -> torch.Tensor:
        """Score every voxel with every mask vector.

        Args:
            feature: (B, C, ...).
            vectors: Weights (B, Q, C), or (B, Q, C + C_d) with details.
            details: (B, C_d, ...) on a finer grid.

        Returns:
            (B, Q, ...) on the grid of the details, or of the features where there are none.
        """
        biases = vectors.biases[:, :, None]
        if details is None:
            return score(feature, vectors.weights, biases)
        width = feature.shape[1]
        coarse = score(feature, vectors.weights[..., :width], biases)
        mode = "bilinear" if feature.ndim == 4 else "trilinear"
        enlarged = F.interpolate(coarse, size=details.shape[2:], mode=mode)
        return score(details, vectors.weights[..., width:], enlarged.flatten(2))


def score(feature: torch.Tensor, weights: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """Add the scaled dot product of every voxel with every mask vector: (B, C, ...) -> (B, Q, ...).

    Args:
        feature: Pixel features.
        weights: Of the mask vectors, (B, Q, C).
        base: What to add to: biases (B, Q, 1), or coarser scores, enlarged, (B, Q, voxels).
    """
    logits = torch.baddbmm(base, weights * feature.shape[1] ** -0.5, feature.flatten(2))
    return logits.unflatten(2, feature.shape[2:])


def level_size(size: Sequence[int], stride: Sequence[int]) -> list[int]:
    """Size of a supervised level: what nnU-Net's target downsampling makes of it, round(size * (1 / stride)).

    Args:
        size: Size of the image, voxels.
        stride: Cumulative stride of the level.
    """
    return [max(1, round(n * (1 / s))) for n, s in zip(size, stride, strict=True)]


def pad_to_multiple(x: torch.Tensor, multiple: Sequence[int]) -> torch.Tensor:
    """Repeat the border at the end of every axis up to the next multiple.

    Args:
        x: (B, C, ...).
        multiple: One number an axis.
    """
    missing = [-n % m for n, m in zip(x.shape[2:], multiple, strict=True)]
    if not any(missing):
        return x
    return F.pad(x, [side for n in reversed(missing) for side in (0, n)], mode="replicate")


def crop(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Keep the first `size` voxels of every spatial axis.

    Args:
        x: (B, C, ...).
        size: One number an axis.
    """
    window: tuple[Any, ...] = (..., *(slice(0, n) for n in size))
    return x[window]
