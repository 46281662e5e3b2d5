"""The network in half precision, under long training, and with many classes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nnunet_textguided.architectures import TextGuidedNetwork

LIMIT = 6_500.0
"""nnU-Net adds up the logits of overlapping tiles and mirrored passes in float16, which ends at 65,504."""


def longest_vectors(network: TextGuidedNetwork, x: torch.Tensor) -> float:
    """The bound of `TextGuidedNetwork`: 6 |w| (scaled, at worst all channels at 6) + |bias|, over all queries."""
    _, vectors = network._features(x)
    channels = vectors.weights.shape[2]
    return float((6 * vectors.weights.abs().sum(2) * channels**-0.5 + vectors.biases.abs()).max())


@pytest.mark.parametrize("plan", ["2d", "3d_anisotropic"])
@pytest.mark.parametrize("scale", [1.0, 1e4, 65_504.0])
def test_logits_stay_far_below_the_limit_of_float16_whatever_the_image(make_network, move_parameters, plan, scale):
    network = make_network(plan, num_findings=2).eval()
    move_parameters(network)
    torch.manual_seed(1)
    x = scale * torch.randn(1, 1, *((64, 32) if plan == "2d" else (4, 32, 32)))
    with torch.no_grad():
        bound = longest_vectors(network, x)
        outputs = network.forward_with_findings(x)
    assert bound < LIMIT / 10
    for logits in outputs:
        assert torch.isfinite(logits).all()
        assert logits.abs().max() <= bound * 1.001


@pytest.mark.parametrize("value", [0.0, 1.0, -3e4])
def test_an_image_of_one_value_gives_finite_logits_and_gradients_in_bfloat16(make_network, value):
    network = make_network("2d", num_findings=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = network(torch.full((2, 1, 32, 32), value))
    sum(output.float().logsumexp(1).mean() for output in outputs).backward()
    assert all(torch.isfinite(output).all() for output in outputs)
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters() if parameter.grad is not None)


def test_bfloat16_and_float32_agree_but_for_rounding(make_network, move_parameters):
    network = make_network("2d").eval()
    move_parameters(network)
    x = torch.randn(1, 1, 64, 32)
    with torch.no_grad():
        network.decoder.deep_supervision = False
        full = network(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = network(x).float()
    # bfloat16 keeps 8 bits: each of the roughly thirty layers in a row rounds by up to 0.4 %
    assert (half - full).norm() < 0.15 * full.norm()


def test_a_thousand_classes_train_and_cost_no_parameters(make_network):
    torch.manual_seed(0)
    many, few = make_network("2d", num_classes=1000), make_network("2d", num_classes=3)
    count = [sum(parameter.numel() for parameter in network.parameters()) for network in (many, few)]
    assert count[0] == count[1]
    many.decoder.deep_supervision = False
    logits = many(torch.randn(1, 1, 32, 32))
    assert logits.shape == (1, 1000, 32, 32)
    F.cross_entropy(logits, torch.randint(0, 1000, (1, 32, 32))).backward()
    gradients = [parameter.grad for parameter in many.parameters() if parameter.grad is not None]
    assert len(gradients) > 100
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_memory_of_a_step_grows_by_no_more_than_the_logits_of_more_classes(make_network):
    """Bytes that autograd keeps, 1000 classes against 500: the logits themselves, and what is done to each query."""
    kept = {}
    for classes in (500, 1000):
        network = make_network("2d", num_classes=classes)
        network.decoder.deep_supervision = False
        seen: dict[int, int] = {}

        def note(tensor: torch.Tensor, seen: dict[int, int] = seen) -> torch.Tensor:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            F.cross_entropy(network(torch.randn(1, 1, 64, 64)), torch.zeros(1, 64, 64, dtype=torch.long))
        kept[classes] = sum(seen.values())
    logits = 500 * 64 * 64 * 4
    queries = 500 * 256 * 4
    # cross-entropy keeps one copy of the logits; a query passes some 60 linear layers, norms and attentions
    assert kept[1000] - kept[500] < 2 * logits + 100 * queries
