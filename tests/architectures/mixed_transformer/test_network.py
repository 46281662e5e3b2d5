from __future__ import annotations

import pytest
import torch

from nnunet_textguided.architectures.mixed_transformer import (
    MixedTransformerSpec,
    MixedTransformerUNet,
    patch_spec,
    published_spec,
)

SMALLEST = 1e-9


@pytest.mark.parametrize("size", [(32, 32), (64, 32), (33, 47), (1, 70)])
@pytest.mark.parametrize(("channels", "classes"), [(1, 4), (3, 2), (5, 20)])
def test_logits_have_the_size_of_the_image(make_mixed, size, channels, classes):
    network = make_mixed(input_channels=channels, num_classes=classes).eval()
    image = torch.randn(2, channels, *size)
    with torch.no_grad():
        [level] = network(image)
        network.decoder.deep_supervision = False
        assert level.shape == network(image).shape == (2, classes, *size)


def test_padding_is_the_border_continued(make_mixed):
    network = make_mixed(deep_supervision=False).eval()
    image = torch.randn(1, 1, 40, 33)
    padded = torch.nn.functional.pad(image, (0, 31, 0, 24), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(network(image), network(padded)[..., :40, :33], rtol=0, atol=0)


@pytest.mark.parametrize("num_findings", [0, 2])
def test_gradient_reaches_every_parameter(make_mixed, num_findings):
    network = make_mixed(num_findings, position_grid=(20, 20)).double()
    if num_findings:
        network.finding_head.float()  # which sees float32 always
    outputs = network(torch.randn(2, 1, 160, 160, dtype=torch.float64))  # more than one window everywhere
    sum((output.double() * torch.randn_like(output)).sum() for output in outputs).backward()
    idle = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or parameter.grad.abs().max() < SMALLEST
    ]
    assert idle == []


def test_gradient_of_a_voxel_reaches_all_of_a_small_image(make_mixed):
    network = make_mixed(deep_supervision=False).eval()
    image = torch.randn(1, 1, 64, 64, requires_grad=True)
    network(image)[0, :, 0, 0].sum().backward()
    assert (image.grad != 0).float().mean() > 0.9


def test_outputs_follow_the_flag_and_the_findings_head(make_mixed):
    image = torch.randn(2, 1, 40, 33)
    network = make_mixed(num_findings=3).eval()
    with torch.no_grad():
        level, maps = network(image)
        segmentation, found = network.forward_with_findings(image)
        network.decoder.deep_supervision = False
        alone = network(image)
    assert (level.shape, maps.shape, maps.dtype) == ((2, 4, 40, 33), (2, 3, 40, 33), torch.float32)
    for one, other in ((level, segmentation), (level, alone), (maps, found)):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_without_a_head_there_are_no_finding_maps(make_mixed):
    network = make_mixed().eval()
    segmentation, maps = network.forward_with_findings(torch.randn(2, 1, 40, 33))
    assert (segmentation.shape, maps.shape, maps.dtype) == ((2, 4, 40, 33), (2, 0, 40, 33), torch.float32)


def test_findings_head_sees_float32_skips_under_autocast(make_mixed):
    network = make_mixed(num_findings=3).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        level, maps = network(torch.randn(1, 1, 32, 32))
    assert (level.dtype, maps.dtype) == (torch.bfloat16, torch.float32)
    assert level.isfinite().all()
    assert maps.isfinite().all()


def test_features_are_those_of_all_levels_at_the_padded_size(make_mixed):
    network = make_mixed()
    logits, skips = network.features(torch.randn(1, 1, 33, 70).repeat(2, 1, 1, 1))
    assert logits.shape == (2, 4, 64, 96)
    assert network.skip_strides == ((1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (32, 32))
    assert [tuple(skip.shape[1:]) for skip in skips] == [
        (channels, 64 // rows, 96 // columns)
        for channels, (rows, columns) in zip(network.skip_channels, network.skip_strides, strict=True)
    ]


def test_state_dict_does_not_depend_on_the_flag(make_mixed):
    on, off = (make_mixed(deep_supervision=flag).state_dict() for flag in (True, False))
    assert list(on) == list(off)
    assert all(torch.equal(on[key], off[key]) for key in on)


def test_what_depends_on_the_number_of_classes_carries_seg_layers_in_its_name(make_mixed):
    few, many = (make_mixed(num_findings=n, num_classes=n).state_dict() for n in (2, 5))
    changed = {key for key in few if few[key].shape != many[key].shape}
    assert changed == {key for key in few if ".seg_layers." in key}
    assert "decoder.seg_layers.weight" in changed


def test_training_and_evaluation_agree_once_batch_statistics_are_known(make_mixed):
    network = make_mixed(deep_supervision=False).double()
    image = torch.randn(2, 1, 64, 64, dtype=torch.float64)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum, norm.eps = 1.0, 0.1  # variances are estimated with n - 1 in evaluation; a large eps hides it
        norm.register_forward_hook(lambda module, x, _: _as_in_the_batch(module, x[0]))
    with torch.no_grad():
        trained = network(image)
        torch.testing.assert_close(network.eval()(image), trained, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(network(image[:1]), trained[:1], rtol=1e-9, atol=1e-9)


def _as_in_the_batch(norm: torch.nn.BatchNorm2d, x: torch.Tensor) -> None:
    if norm.training:
        norm.running_var.copy_(x.var((0, 2, 3), unbiased=False))


def test_positions_fit_the_patch_and_are_interpolated_for_others(make_mixed):
    assert patch_spec(4, 1, (320, 256)).position_grid == (40, 32)
    assert patch_spec(4, 1, (321, 30)).position_grid == (44, 4)
    encoder = make_mixed(position_grid=(2, 2)).encoder
    with torch.no_grad():
        encoder.positions.copy_(torch.tensor([[0.0, 0.0], [4.0, 4.0]]))
    assert encoder._positions(torch.Size((2, 2))) is encoder.positions
    assert encoder._positions(torch.Size((4, 2)))[0, 0, :, 0].tolist() == [0.0, 1.0, 3.0, 4.0]


@pytest.mark.parametrize(
    "wrong", [{"num_classes": 1}, {"input_channels": 0}, {"heads": 3}, {"memory_slots": 10}, {"position_grid": (0, 4)}]
)
def test_impossible_specs_are_refused(wrong):
    with pytest.raises(ValueError, match="Expected"):
        MixedTransformerSpec(**{"input_channels": 1, "num_classes": 4, **wrong})


def convolution_parameters(channels_in: int, channels_out: int, kernel: int) -> int:
    """Convolution without bias and batch norm."""
    return channels_in * channels_out * kernel**2 + 2 * channels_out


def double_convolution_parameters(channels_in: int, channels_out: int) -> int:
    """Kernels 3, 3 and 1; the last one is published with a bias."""
    kernels = ((channels_in, 3), (channels_out, 3), (channels_out, 1))
    return sum(convolution_parameters(width, channels_out, kernel) for width, kernel in kernels) + channels_out


def block_parameters(width: int) -> int:
    """A published mixed block: 2 norms, 2 attentions of 4 layers, aggregation, Gaussian, joining layer, memory."""
    attentions = 2 * 4 * (width**2 + width)
    aggregation, gaussian, join = width * 16 + 16, 2, 2 * width**2 + width
    head = width // 8
    memory = (width * 4 * width + 4 * width) + (head * 64 + 64) + (64 * head + head) + (4 * width * width + width)
    return 2 * 2 * width + attentions + aggregation + gaussian + join + memory


def published_parameters(classes: int) -> int:
    """Of the published network for images of 224 x 224 x 3, added up from its configuration."""
    stem = sum(double_convolution_parameters(*pair) for pair in ((3, 64), (64, 128), (128, 256)))
    embedding = convolution_parameters(256, 256, 1) + 28 * 28 * 256
    blocks = 2 * sum(map(block_parameters, (256, 512, 1024, 512, 512)))
    reduce = convolution_parameters(256, 512, 2) + convolution_parameters(512, 1024, 2)
    enlarge = sum(a * b * 4 + b for a, b in ((1024, 512), (512, 256), (512, 256), (256, 128), (128, 64)))
    narrow = 1024 * 512 + 512
    convolved = sum(double_convolution_parameters(2 * width, width) for width in (256, 128, 64))
    return stem + embedding + blocks + reduce + enlarge + narrow + convolved + 64 * classes + classes


def test_parameters_at_the_published_setting_are_the_published_ones_less_those_without_effect():
    widths = [width for width in (256, 512, 1024, 512, 512) for _ in range(2)]
    never_called = sum(width**2 + width for width in widths)  # output layer of the global attention
    cancelled = sum(2 * width + 1 for width in widths)  # biases of keys, offset of the Gaussian
    cancelled += sum(width + 4 * width + 64 for width in widths)  # of norm, query and keys of the external attention
    cancelled += 2 * (64 + 128 + 256)  # biases before batch norm
    published = published_parameters(classes=9)
    assert published == 79_075_389
    with torch.device("meta"):  # shapes alone
        network = MixedTransformerUNet(published_spec(num_classes=9, input_channels=3))
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == published - never_called - cancelled == 75_227_699
    assert count == pytest.approx(published, rel=0.05)
