from __future__ import annotations

import copy

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn

from nnunet_textguided.architectures import FindingHead, MultiTaskUNet, multi_task_unet

KINDS = {
    "2d": (PlainConvUNet, [(1, 1), (2, 2), (2, 2)], (16, 24)),
    "2d_residual": (ResidualEncoderUNet, [(1, 1), (2, 2), (2, 2)], (16, 24)),
    "2d_one_axis": (PlainConvUNet, [(1, 1), (2, 1), (2, 2)], (16, 24)),
    "3d_anisotropic": (PlainConvUNet, [(1, 1, 1), (1, 2, 2), (2, 2, 2)], (4, 8, 16)),
    "3d_residual": (ResidualEncoderUNet, [(1, 1, 1), (1, 2, 2), (2, 2, 2)], (4, 8, 16)),
    "two_stages": (PlainConvUNet, [(1, 1), (2, 2)], (8, 8)),
}
CLASSES, FINDINGS = 4, 2


def bare_unet(kind: str, seed: int = 0) -> nn.Module:
    """nnU-Net's network at a small width, all levels supervised."""
    network_class, strides, size = KINDS[kind]
    torch.manual_seed(seed)
    blocks = "n_blocks_per_stage" if network_class is ResidualEncoderUNet else "n_conv_per_stage"
    return network_class(
        input_channels=1,
        n_stages=len(strides),
        features_per_stage=[4, 8, 12][: len(strides)],
        conv_op=nn.Conv2d if len(size) == 2 else nn.Conv3d,
        kernel_sizes=[[3] * len(size)] * len(strides),
        strides=strides,
        num_classes=CLASSES,
        n_conv_per_stage_decoder=1,
        norm_op=nn.InstanceNorm2d if len(size) == 2 else nn.InstanceNorm3d,
        norm_op_kwargs={"affine": True},
        nonlin=nn.LeakyReLU,
        deep_supervision=True,
        **{blocks: 1},
    )


def image(kind: str, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, 1, *KINDS[kind][2], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_with_flag_on_and_off(kind: str):
    bare = bare_unet(kind).eval()
    network, x = multi_task_unet(copy.deepcopy(bare), FINDINGS).eval(), image(kind, batch=2)
    with torch.no_grad():
        *levels, maps = network(x)
        segmentation, found = network.forward_with_findings(x)
        expected = bare(x)
        network.decoder.deep_supervision = False
        alone, again = network(x), network.forward_with_findings(x)
    assert len(levels) == len(expected) == len(KINDS[kind][1]) - 1
    for level, truth in zip([*levels, segmentation, alone, again[0]], [*expected, *expected[:1] * 3], strict=True):
        assert torch.equal(level, truth)
    assert maps.shape == (2, FINDINGS, *KINDS[kind][2])
    assert torch.equal(maps, found)
    assert torch.equal(maps, again[1])
    assert network.num_findings == FINDINGS


@pytest.mark.parametrize("kind", KINDS)
def test_maps_have_one_value_a_cell_of_the_second_skip_and_differ_between_cells(kind: str):
    with torch.no_grad():
        maps = multi_task_unet(bare_unet(kind), FINDINGS)(image(kind))[-1]
    stride = KINDS[kind][1][1]
    first = maps[(..., *(slice(None, None, s) for s in stride))]
    repeated = first
    for axis, s in enumerate(stride, start=2):
        repeated = repeated.repeat_interleave(s, dim=axis)
    assert torch.equal(maps, repeated)
    assert len(first.unique()) > 0.9 * first.numel()


@pytest.mark.parametrize("kind", KINDS)
def test_findings_alone_train_head_and_shared_encoder_but_not_the_decoder(kind: str):
    network = multi_task_unet(bare_unet(kind), FINDINGS)
    network(image(kind))[-1].square().sum().backward()
    shared = {id(parameter) for parameter in network.encoder.parameters()}
    for name, parameter in network.named_parameters():
        learns = id(parameter) in shared or name.startswith("finding_head.")
        # a bias before instance normalisation changes nothing, so its gradient may vanish, not be absent
        assert (parameter.grad is not None) == learns, name
    weights = [p for p in network.encoder.parameters() if p.ndim > 1]
    assert min(float(p.grad.abs().max()) for p in [*weights, *network.finding_head.parameters()]) > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("findings", [0, FINDINGS])
def test_no_parameter_is_left_unused(kind: str, findings: int):
    network = multi_task_unet(bare_unet(kind), findings)
    sum(output.square().sum() for output in network(image(kind))).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


def test_names_of_the_unets_parameters_stay_and_those_of_the_head_are_left_out_by_pretrained_weights():
    bare = bare_unet("2d")
    network = multi_task_unet(bare, FINDINGS)
    added = network.state_dict().keys() - bare.state_dict().keys()
    assert network.state_dict().keys() - added == bare.state_dict().keys()
    assert added
    assert all(".seg_layers." in name for name in added)


@pytest.mark.parametrize("kind", ["2d", "3d_anisotropic"])
def test_state_dict_does_not_depend_on_the_flag(kind: str):
    on, off = (multi_task_unet(bare_unet(kind, seed), FINDINGS) for seed in (0, 1))
    off.decoder.deep_supervision = False
    off.load_state_dict(on.state_dict(), strict=True)
    assert torch.equal(off.eval()(image(kind)), on.eval()(image(kind))[0])


def test_without_findings_it_is_the_unet():
    bare = bare_unet("2d")
    network = multi_task_unet(copy.deepcopy(bare), 0)
    assert network.state_dict().keys() == bare.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(network(image("2d")), bare(image("2d")), strict=True))
    segmentation, maps = network.forward_with_findings(image("2d"))
    assert torch.equal(segmentation, bare(image("2d"))[0])
    assert (maps.shape, network.num_findings) == ((1, 0, 16, 24), 0)


def test_lesion_layers_are_those_of_the_text_guided_network(make_network):
    ours = make_network("3d_anisotropic", num_findings=FINDINGS).decoder.lesions["seg_layers"].state_dict()
    del ours["to_structures.weight"]
    strides = [(1, 1, 1), (1, 2, 2), (2, 4, 4), (4, 8, 8)]
    head = FindingHead([32, 64, 128, 256], strides, FINDINGS).seg_layers["lesions"].state_dict()
    assert {name: tensor.shape for name, tensor in head.items()} == {name: t.shape for name, t in ours.items()}


def test_the_scale_of_the_skips_does_not_matter_and_first_scores_are_small():
    torch.manual_seed(0)
    head = FindingHead([4, 8, 8], [(1, 1), (2, 2), (4, 4)], FINDINGS).eval()
    skips = [torch.randn(1, channels, size, size) for channels, size in ((4, 16), (8, 8), (8, 4))]
    with torch.no_grad():
        maps, scaled = head(skips), head([1e4 * skip for skip in skips])
    torch.testing.assert_close(scaled, maps, atol=1e-3, rtol=0)
    assert maps.abs().max() < 5


def test_a_far_voxel_of_the_coarsest_skip_reaches_the_maps_through_the_pathway():
    head = FindingHead([4, 8, 8], [(1, 1), (2, 2), (8, 8)], FINDINGS).eval()
    skips = [torch.zeros(1, channels, size, size) for channels, size in ((4, 16), (8, 8), (8, 2))]
    skips[2].requires_grad_()
    head([*skips[:2], skips[2] + torch.randn(1, 8, 2, 2)])[..., 15, 15].sum().backward()
    assert skips[2].grad[..., 1, 1].abs().max() > 0


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_maps_are_float32_under_autocast_and_close(device: str):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    network, x = multi_task_unet(bare_unet("2d"), FINDINGS).eval().to(device), image("2d").to(device)
    with torch.no_grad():
        exact = network(x)[-1]
        with torch.autocast(device, dtype=torch.bfloat16 if device == "cpu" else torch.float16):
            level, *_, maps = network(x)
    assert (level.dtype != torch.float32, maps.dtype) == (True, torch.float32)
    torch.testing.assert_close(maps, exact, atol=0.1, rtol=0.1)


@pytest.mark.parametrize(
    ("channels", "strides", "findings", "words"),
    [
        ([4], [(1, 1)], 1, "two skips"),
        ([4, 8], [(1, 1), (2, 2), (4, 4)], 1, "2 skips and 3 strides"),
        ([4, 8], [(2, 2), (4, 4)], 1, "start with ones"),
        ([4, 8, 8], [(1, 1), (2, 2), (3, 4)], 1, "dividing the next"),
        ([4, 8], [(1, 1), (2, 2)], 0, "at least one finding"),
    ],
)
def test_heads_that_cannot_be_are_refused(channels, strides, findings, words):
    with pytest.raises(ValueError, match=words):
        FindingHead(channels, strides, findings)


def test_a_head_may_sit_on_any_encoder_and_decoder():
    class Halves(nn.Module):
        deep_supervision = True

        def forward(self, skips):
            return [skip[:, :3] for skip in skips[:2]] if self.deep_supervision else skips[0][:, :3]

    class Skips(nn.Module):
        def forward(self, x):
            return [x, x[..., ::2, ::2], x[..., ::4, ::4]]

    unet = nn.Module()
    unet.encoder, unet.decoder = Skips(), Halves()
    network = MultiTaskUNet(unet, FindingHead([4, 4, 4], [(1, 1), (2, 2), (4, 4)], FINDINGS))
    assert [tuple(o.shape) for o in network(torch.randn(1, 4, 8, 8))] == [(1, 3, 8, 8), (1, 3, 4, 4), (1, 2, 8, 8)]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["2d", "3d_anisotropic"])
def test_graph_is_captured_whole_by_torch_compile(kind: str):
    network, x = multi_task_unet(bare_unet(kind), FINDINGS).eval(), image(kind)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), network(x))
        network.decoder.deep_supervision = False
        torch.testing.assert_close(compiled(x), network(x))
