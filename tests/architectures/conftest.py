"""Small networks on which every architecture test runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from nnunet_textguided.architectures import NetworkSpec, TextGuidedNetwork, build_text_guided_network

PLANS = {
    "2d": ((1, 1), *((2, 2),) * 5),
    "3d_isotropic": ((1, 1, 1), *((2, 2, 2),) * 3),
    "3d_anisotropic": ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)),
    "3d_flat": ((1, 1, 1), *((1, 2, 2),) * 5),
}


def build(plan: str = "2d", seed: int = 0, **changes) -> TextGuidedNetwork:
    """A network of the smallest encoder with random unit-RMS text rows."""
    torch.manual_seed(seed)
    settings = {"encoder": "convnextv2_atto", "input_channels": 1, "num_classes": 4, "embedding_dim": 16}
    spec = NetworkSpec(pool_op_kernel_sizes=PLANS[plan], **{**settings, **changes})
    network = build_text_guided_network(spec)
    if spec.embedding_dim is not None:
        network.set_class_vectors(rows(spec.num_structures + spec.num_findings, spec.embedding_dim))
    return network


def rows(count: int, dim: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(count, dim), dim=1)


def randomise(network: nn.Module) -> None:
    """Move every parameter away from its initial value, zero-initialised ones included."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


@pytest.fixture
def make_network() -> Callable[..., TextGuidedNetwork]:
    return build


@pytest.fixture
def make_rows() -> Callable[[int, int], torch.Tensor]:
    return rows


@pytest.fixture
def move_parameters() -> Callable[[nn.Module], None]:
    return randomise
