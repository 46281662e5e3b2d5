from __future__ import annotations

import pytest
import torch
from batchgeneratorsv2.transforms.utils.deep_supervision_downsampling import DownsampleSegForDSTransform

from nnunet_textguided.architectures import supervised_strides

PLANS_AND_SIZES = [
    ("2d", (33, 47)),
    ("2d", (64, 96)),
    ("3d_isotropic", (24, 40, 56)),
    ("3d_anisotropic", (14, 45, 38)),
    ("3d_flat", (5, 64, 48)),
    ("3d_isotropic", (9, 10, 11)),
]
POOLING = {
    "2d": ((1, 1), *((2, 2),) * 5),
    "3d_isotropic": ((1, 1, 1), *((2, 2, 2),) * 3),
    "3d_anisotropic": ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)),
    "3d_flat": ((1, 1, 1), *((1, 2, 2),) * 5),
}


def target_sizes(plan: str, size: tuple[int, ...]) -> list[tuple[int, ...]]:
    scales = [[1 / s for s in stride] for stride in supervised_strides(POOLING[plan])]
    targets = DownsampleSegForDSTransform(scales)(segmentation=torch.zeros(1, *size, dtype=torch.int16))
    return [tuple(target.shape[1:]) for target in targets["segmentation"]]


@pytest.mark.parametrize(("plan", "size"), PLANS_AND_SIZES)
def test_level_sizes_equal_those_of_downsampled_targets(make_network, plan, size):
    network = make_network(plan)
    outputs = network(torch.randn(2, 1, *size))
    assert [tuple(o.shape) for o in outputs] == [(2, 4, *level) for level in target_sizes(plan, size)]


@pytest.mark.parametrize("plan", ["2d", "3d_flat"])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("num_findings", [0, 5])
def test_outputs_with_flag_on_and_off(make_network, plan, channels, num_findings):
    size = (33, 47) if plan == "2d" else (3, 33, 47)
    network = make_network(plan, input_channels=channels, num_findings=num_findings).eval()
    x = torch.randn(1, channels, *size)
    with torch.no_grad():
        outputs = network(x)
        segmentation, maps = network.forward_with_findings(x)
        network.decoder.deep_supervision = False
        alone = network(x)
    assert len(outputs) == 5 + (num_findings > 0)
    assert isinstance(alone, torch.Tensor)
    assert maps.shape == (1, num_findings, *size)
    assert maps.dtype == torch.float32
    torch.testing.assert_close(alone, outputs[0])
    torch.testing.assert_close(alone, segmentation)
    if num_findings:
        torch.testing.assert_close(maps, outputs[-1])


def test_output_type_does_not_follow_training_mode(make_network):
    network = make_network()
    x = torch.randn(1, 1, 32, 32)
    assert isinstance(network.eval()(x), list)
    network.decoder.deep_supervision = False
    assert isinstance(network.train()(x), torch.Tensor)


@pytest.mark.parametrize(("embedding_dim", "num_findings"), [(16, 3), (16, 0), (None, 0)])
@pytest.mark.parametrize("plan", ["2d", "3d_isotropic", "3d_anisotropic", "3d_flat"])
def test_gradient_reaches_every_parameter(make_network, plan, embedding_dim, num_findings):
    network = make_network(plan, embedding_dim=embedding_dim, num_findings=num_findings)
    x = torch.randn(1, 1, *((64, 64) if plan == "2d" else (8, 32, 64)))
    # The last level has no weight in nnU-Net's loss.
    outputs = network(x)
    sum(output.square().sum() for output in outputs[:4] + outputs[5:]).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or p.grad.abs().max() == 0]
    assert without == []


@pytest.mark.parametrize("num_classes", [2, 3, 201])
def test_any_number_of_classes(make_network, num_classes):
    network = make_network(num_classes=num_classes)
    assert network(torch.randn(1, 1, 32, 32))[0].shape == (1, num_classes, 32, 32)


def test_state_dict_is_the_same_with_flag_on_and_off(make_network):
    on = make_network(deep_supervision=True, num_findings=2)
    off = make_network(deep_supervision=False, num_findings=2, seed=1)
    off.load_state_dict(on.state_dict(), strict=True)
    x = torch.randn(1, 1, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(off.eval()(x), on.eval()(x)[0])


def test_only_seg_layers_depend_on_the_classes(make_network):
    few = make_network(num_classes=3).state_dict()
    many = make_network(num_classes=20, num_findings=5).state_dict()
    differing = [key for key in few if key in many and few[key].shape != many[key].shape]
    assert differing == ["queries.seg_layers.vectors"]
    assert all(".seg_layers." in key for key in few.keys() ^ many.keys())


@pytest.mark.parametrize("scale", [1e4, 1e8])
def test_logits_stay_bounded_for_huge_inputs(make_network, scale):
    x = torch.randn(1, 1, 64, 64)
    x[0, 0, 32, 32] = 100
    with torch.no_grad():
        logits = make_network()(scale * x)[0]
    assert torch.isfinite(logits).all()
    assert logits.abs().max() < 50


def test_initial_scores_are_small(make_network):
    with torch.no_grad():
        logits = make_network(num_classes=20)(torch.randn(2, 1, 64, 64))[0]
    assert logits.abs().max() < 5
    assert 0.01 < logits.softmax(1)[:, 0].mean() < 0.5


@pytest.mark.parametrize("plan", ["2d", "3d_anisotropic"])
def test_one_step_lowers_the_loss(make_network, plan):
    network = make_network(plan)
    size = (32, 32) if plan == "2d" else (8, 32, 32)
    x = torch.randn(2, 1, *size)
    target = torch.bucketize(x[:, 0], torch.tensor([-0.7, 0.0, 0.7]))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-5)
    losses = []
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(network(x)[0], target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]


@pytest.mark.parametrize("plan", ["2d", "3d_anisotropic"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_mixed_precision_is_finite_and_close(make_network, plan, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    network = make_network(plan, num_findings=2).eval().to(device)
    x = torch.randn(1, 1, *((32, 32) if plan == "2d" else (8, 32, 32)), device=device)
    with torch.no_grad():
        exact = network(x)
        with torch.autocast(device, dtype=torch.bfloat16 if device == "cpu" else torch.float16):
            mixed = network(x)
    assert mixed[0].dtype != torch.float32
    assert mixed[-1].dtype == torch.float32
    for a, b in zip(mixed, exact, strict=True):
        torch.testing.assert_close(a.float(), b, atol=0.1, rtol=0.1)


def test_network_can_be_pickled_by_torch(make_network, tmp_path):
    network = make_network("3d_flat")
    torch.save(network, tmp_path / "network.pth")
    again = torch.load(tmp_path / "network.pth", weights_only=False)
    assert again.state_dict().keys() == network.state_dict().keys()


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["2d", "3d_anisotropic"])
def test_graph_is_captured_whole_by_torch_compile(make_network, plan):
    network = make_network(plan, num_findings=2).eval()
    x = torch.randn(1, 1, *((33, 40) if plan == "2d" else (8, 33, 40)))
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), network(x))
        network.decoder.deep_supervision = False
        torch.testing.assert_close(compiled(x), network(x))
