from __future__ import annotations

import pytest
import torch

from nnunet_textguided.architectures.lesion_branch import LesionBranch


def branch_gradients(network) -> dict[str, float]:
    """Largest gradient of every parameter of the lesion branch, by its name in the branch."""
    branch = network.decoder.lesions["seg_layers"]
    return {
        name: 0.0 if parameter.grad is None else float(parameter.grad.abs().max())
        for name, parameter in branch.named_parameters()
    }


@pytest.mark.parametrize("plan", ["2d", "3d_anisotropic"])
def test_segmentation_reads_the_lesion_branch_and_does_not_train_it(make_network, move_parameters, plan):
    network = make_network(plan, num_findings=2)
    move_parameters(network)
    *levels, _ = network(torch.randn(1, 1, *(32,) * (3 if plan != "2d" else 2)))
    sum(level.square().mean() for level in levels).backward()
    gradients = branch_gradients(network)
    assert gradients.pop("to_structures.weight") > 0
    assert set(gradients.values()) == {0.0}


def test_findings_train_the_lesion_branch_and_what_it_reads(make_network, move_parameters):
    network = make_network(num_findings=2)
    move_parameters(network)
    *_, maps = network(torch.randn(1, 1, 32, 32))
    maps.square().mean().backward()
    gradients = branch_gradients(network)
    assert gradients.pop("to_structures.weight") == 0
    assert min(gradients.values()) > 0
    assert network.stem.stride_1.conv.weight.grad.abs().max() > 0
    assert network.decoder.merges[-1].blocks[0].conv.weight.grad.abs().max() > 0


def test_an_untrained_lesion_branch_leaves_the_segmentation_as_it_is(make_network):
    plain, looking = make_network(), make_network(num_findings=2, seed=1)
    shared = {key: value for key, value in plain.state_dict().items() if ".seg_layers." not in key}
    looking.load_state_dict(shared, strict=False)
    looking.set_class_vectors(torch.cat([plain.queries.seg_layers.vectors, torch.randn(2, 16)]))
    looking.query_decoder.layers = torch.nn.ModuleList()  # structures attend to findings there
    plain.query_decoder.layers = torch.nn.ModuleList()
    x = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(looking.eval()(x)[0], plain.eval()(x)[0])


def test_maps_are_scored_at_stride_2_and_enlarged(make_network):
    network = make_network(num_findings=3).eval()
    with torch.no_grad():
        _, maps = network.forward_with_findings(torch.randn(2, 1, 32, 32))
    assert maps.shape == (2, 3, 32, 32)
    cells = maps.unflatten(-2, (16, 2)).unflatten(-1, (16, 2))
    assert torch.equal(cells, cells[..., :1, :, :1].expand_as(cells))


@pytest.mark.parametrize(("kernels", "stride"), [(((3, 3), (3, 3)), (2, 2)), (((1, 3, 3), (3, 3, 3)), (1, 2, 2))])
def test_the_branch_keeps_the_grid_of_stride_2_and_is_bounded(kernels, stride):
    branch = LesionBranch(4, 8, 6, kernels, stride)
    size = (4, 8, 8)[-len(stride) :]
    stem = 1e6 * torch.randn(2, 4, *(n * s for n, s in zip(size, stride, strict=True)))
    lesions, change = branch(stem, torch.randn(2, 8, *size))
    assert (lesions.shape, change.shape) == ((2, 6, *size), (2, 8, *size))
    assert lesions.abs().max() <= 6
    assert not change.any()
