"""What a Mixed Transformer U-Net is made of, as numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MixedTransformerSpec:
    """Everything that decides the shape of a network; two equal specs have equal state_dict keys and shapes.

    The defaults are the configuration that the authors published (Wang et al., Mixed Transformer U-Net for medical
    image segmentation, ICASSP 2022, arXiv 2111.04734; github.com/Dootmaan/MT-UNet).

    Attributes:
        input_channels: Number of image channels.
        num_classes: Number of segmentation channels, background included.
        position_grid: Rows and columns of the learned position table, one entry a token of stride 8; 28 x 28 are the
            tokens of an image of 224 x 224. For other sizes the table is interpolated.
        stem_channels: Widths of the convolution levels, strides 1, 2, 4.
        mixed_channels: Widths of the levels of mixed blocks, strides 8, 16, 32; the last one is the bottleneck.
        blocks_per_level: Mixed blocks of each of these levels, in the encoder and in the decoder.
        heads: Heads of the local attention.
        window: Side of a local window, tokens.
        memory_slots: Size S of the external memory, divided among `memory_expansion`.
        memory_expansion: Factor on width and heads inside the external attention.
        deep_supervision: Initial value of `decoder.deep_supervision`.
    """

    input_channels: int
    num_classes: int
    position_grid: tuple[int, int] = (28, 28)
    stem_channels: tuple[int, ...] = (64, 128, 256)
    mixed_channels: tuple[int, ...] = (256, 512, 1024)
    blocks_per_level: int = 2
    heads: int = 8
    window: int = 4
    memory_slots: int = 256
    memory_expansion: int = 4
    deep_supervision: bool = True

    def __post_init__(self) -> None:
        if self.input_channels < 1 or self.num_classes < 2 or min(self.position_grid) < 1:
            raise ValueError(
                "Expected input_channels >= 1, num_classes >= 2 (background and at least one structure) and a position "
                f"grid of at least 1 x 1, got {self.input_channels}, {self.num_classes} and {self.position_grid}."
            )
        if any(width % self.heads for width in self.mixed_channels) or self.memory_slots % self.memory_expansion:
            raise ValueError(
                f"Expected widths {self.mixed_channels} that {self.heads} heads divide and {self.memory_slots} memory "
                f"slots that the expansion {self.memory_expansion} divides."
            )

    @property
    def token_stride(self) -> int:
        """Voxels along each axis that one token of the first mixed level stands for."""
        return 2 ** len(self.stem_channels)

    @property
    def total_stride(self) -> int:
        """Voxels along each axis that one token of the bottleneck stands for."""
        return self.token_stride * 2 ** (len(self.mixed_channels) - 1)


def published_spec(num_classes: int = 9, input_channels: int = 3) -> MixedTransformerSpec:
    """The published setting: images of 224 x 224, read as three channels, nine classes (Synapse).

    Args:
        num_classes: Segmentation channels, background included.
        input_channels: Image channels.
    """
    return MixedTransformerSpec(input_channels=input_channels, num_classes=num_classes)


def patch_spec(
    num_classes: int, input_channels: int, patch_size: tuple[int, int], deep_supervision: bool = True
) -> MixedTransformerSpec:
    """The published widths with one position for every token of a patch.

    Args:
        num_classes: Segmentation channels, background included.
        input_channels: Image channels.
        patch_size: Height and width in voxels, any size.
        deep_supervision: Initial value of the flag.
    """
    published = published_spec(num_classes, input_channels)
    stride, token = published.total_stride, published.token_stride
    height, width = (-(-n // stride) * stride // token for n in patch_size)
    return MixedTransformerSpec(
        input_channels=input_channels,
        num_classes=num_classes,
        position_grid=(height, width),
        deep_supervision=deep_supervision,
    )
