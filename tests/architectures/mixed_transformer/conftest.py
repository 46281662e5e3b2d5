"""A network small enough to run in milliseconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from nnunet_textguided.architectures.mixed_transformer import MixedTransformerSpec, MixedTransformerUNet

SMALL = {
    "stem_channels": (4, 4, 8),
    "mixed_channels": (8, 16, 16),
    "heads": 2,
    "memory_slots": 8,
    "memory_expansion": 2,
    "position_grid": (4, 4),
}


class StubHead(nn.Module):
    """The least that a findings head can be: one convolution of the full-resolution skip."""

    def __init__(self, channels: int, num_findings: int) -> None:
        super().__init__()
        self.seg_layers = nn.Conv2d(channels, num_findings, 1)

    def forward(self, skips: list[torch.Tensor]) -> torch.Tensor:
        return self.seg_layers(skips[0])


def build(num_findings: int = 0, seed: int = 0, **changes) -> MixedTransformerUNet:
    torch.manual_seed(seed)
    spec = MixedTransformerSpec(**{"input_channels": 1, "num_classes": 4, **SMALL, **changes})
    head = StubHead(spec.stem_channels[0], num_findings) if num_findings else None
    return MixedTransformerUNet(spec, head)


@pytest.fixture
def make_mixed() -> Callable[..., MixedTransformerUNet]:
    return build
