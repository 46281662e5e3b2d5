"""What a network is made of, as numbers, and the strides that follow from a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

# In-plane strides of all levels are 2**k, k = 0..5: the stem gives k = 0 and 1, ConvNeXt V2 k = 2..5.
NUM_LEVELS = 6
# Levels with a segmentation output: in-plane strides 1, 2, 4, 8, 16. nnU-Net weighs the last one with zero.
NUM_SUPERVISED_LEVELS = 5
# Strides 16 and 32: neighbouring slices are always seen, even where none are merged.
FIRST_LEVEL_ALWAYS_3D = 4
# Encoders that are narrow enough for the small decoder; every other one gets the large decoder.
SMALL_ENCODERS = ("convnextv2_atto", "convnextv2_femto", "convnextv2_pico", "convnextv2_nano")


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """Everything that decides the shape of a network; two equal specs have equal state_dict keys and shapes.

    Attributes:
        encoder: timm's name of a ConvNeXt V2; a pretrained tag after a dot does not change the shape.
        input_channels: Number of image channels C.
        num_classes: Number of segmentation channels, background included (nnU-Net's num_segmentation_heads).
        embedding_dim: Width D of a text row; None = one learned vector a class instead of text.
        pool_op_kernel_sizes: Per-stage strides of the plan, two or three numbers each, the first entry all ones.
        num_findings: Number of finding queries after the structures.
        deep_supervision: Initial value of `decoder.deep_supervision`.
        decoder_width: Channels of the coarse decoder levels; None = by encoder.
        pixel_width: Channels C of the pixel features that the mask vectors score, 4 or more; None = 64.
        query_width: Width of the queries; None = 256.
        drop_path_rate: Stochastic depth of the encoder.
    """

    encoder: str
    input_channels: int
    num_classes: int
    embedding_dim: int | None
    pool_op_kernel_sizes: tuple[tuple[int, ...], ...]
    num_findings: int = 0
    deep_supervision: bool = True
    decoder_width: int | None = None
    pixel_width: int | None = None
    query_width: int | None = None
    drop_path_rate: float = 0.0

    def __post_init__(self) -> None:
        small = self.encoder.split(".")[0] in SMALL_ENCODERS
        defaults = {
            "decoder_width": 128 if small else 256,
            "pixel_width": 64,
            "query_width": 256,
        }
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        object.__setattr__(self, "pool_op_kernel_sizes", _checked_strides(self.pool_op_kernel_sizes))
        if self.input_channels < 1 or self.num_classes < 2 or self.num_findings < 0:
            raise ValueError(
                "Expected input_channels >= 1, num_classes >= 2 (background and at least one structure) and "
                f"num_findings >= 0, got {self.input_channels}, {self.num_classes} and {self.num_findings}."
            )

    @property
    def ndim(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return len(self.pool_op_kernel_sizes[0])

    @property
    def widths(self) -> tuple[int, int, int]:
        """Of decoder, pixel features and queries, none of them left open."""
        return cast(tuple[int, int, int], (self.decoder_width, self.pixel_width, self.query_width))

    @property
    def detail_width(self) -> int:
        """Channels of the details at full resolution."""
        return self.widths[1] // 4

    @property
    def num_structures(self) -> int:
        """Number of segmentation channels without background."""
        return self.num_classes - 1


def level_strides(pool_op_kernel_sizes: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Cumulative strides of the six levels: in-plane 2**k, through-plane (axis 0 of 3D) as in the plan.

    Args:
        pool_op_kernel_sizes: Per-stage strides of the plan, the first entry all ones.

    Returns:
        For k = 0..5 the tuple (2**k, 2**k) or (s_k, 2**k, 2**k), where s_k is the plan's cumulative stride of axis 0
        at its stage min(k, last).

    Raises:
        ValueError: Entries are not all of length 2 or 3, or the first is not all ones.
    """
    strides = _checked_strides(pool_op_kernel_sizes)
    if len(strides[0]) == 2:
        return [(2**k, 2**k) for k in range(NUM_LEVELS)]
    through_plane = np.cumprod([stride[0] for stride in strides]).tolist()
    return [(through_plane[min(k, len(strides) - 1)], 2**k, 2**k) for k in range(NUM_LEVELS)]


def supervised_strides(pool_op_kernel_sizes: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Cumulative strides of the levels that have a segmentation output, full resolution first.

    The trainer turns them into nnU-Net's deep supervision scales (1 / stride).

    Args:
        pool_op_kernel_sizes: Per-stage strides of the plan, the first entry all ones.

    Raises:
        ValueError: As in `level_strides`.
    """
    return level_strides(pool_op_kernel_sizes)[:NUM_SUPERVISED_LEVELS]


def level_kernels(strides: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Convolution kernels of all levels: 3 in the plane, and through it from where the plan starts to stride there.

    Until then slices lie much farther apart than pixels, and nnU-Net's planner does not convolve over them either.

    Args:
        strides: Cumulative strides of the levels, full resolution first.
    """
    kernels: list[tuple[int, ...]] = []
    for k, stride in enumerate(strides):
        if len(stride) == 2:
            kernels.append((3, 3))
            continue
        near = strides[min(k + 1, len(strides) - 1)][0] > 1 or k >= FIRST_LEVEL_ALWAYS_3D
        kernels.append((3 if near else 1, 3, 3))
    return kernels


def _checked_strides(pool_op_kernel_sizes: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    strides = tuple(tuple(int(s) for s in stage) for stage in pool_op_kernel_sizes)
    lengths = {len(stage) for stage in strides}
    if len(lengths) != 1 or not lengths <= {2, 3} or any(s != 1 for s in strides[0]):
        raise ValueError(
            "Expected pool_op_kernel_sizes of a 2D or 3D plan: tuples of two or three strides, the first one all "
            f"ones (nnU-Net's planners write them so), got {pool_op_kernel_sizes}."
        )
    return strides
