from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from nnunet_textguided.architectures.convnext_volume import merge_slices, repeat_over_slices
from nnunet_textguided.architectures.encoder import build_encoder, slice_encoder
from nnunet_textguided.architectures.lift import lift_encoder_state
from nnunet_textguided.architectures.spec import level_strides

FLAT = ((1, 1, 1), *((1, 2, 2),) * 5)
MIXED = ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
CUBIC = ((1, 1, 1), *((2, 2, 2),) * 5)


def pair(pool, move_parameters, name="convnextv2_atto", channels=2):
    torch.manual_seed(0)
    flat = slice_encoder(name, channels).eval().double()
    move_parameters(flat)
    volume = build_encoder(name, channels, level_strides(pool)).eval().double()
    result = volume.load_state_dict(
        lift_encoder_state(flat.state_dict(), channels, volume.slice_factors()), strict=False
    )
    assert all(key.startswith("mixers.") for key in result.missing_keys)
    assert not result.unexpected_keys
    return flat, volume


@pytest.mark.parametrize("name", ["convnextv2_atto", "convnextv2_tiny"])
def test_equals_the_2d_network_slice_by_slice(move_parameters, name):
    flat, volume = pair(FLAT, move_parameters, name)
    x = torch.randn(2, 2, 3, 64, 32, dtype=torch.float64)
    with torch.no_grad():
        together = volume(x)
        for z in range(3):
            for a, b in zip(together, flat(x[:, :, z]), strict=True):
                torch.testing.assert_close(a[:, :, z], b, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("pool", [MIXED, CUBIC])
def test_a_volume_of_equal_slices_gives_the_2d_features(move_parameters, pool):
    flat, volume = pair(pool, move_parameters)
    image = torch.randn(1, 2, 64, 32, dtype=torch.float64)
    with torch.no_grad():
        deep = volume(image[:, :, None].expand(-1, -1, 32, -1, -1))
        shallow = flat(image)
    for stride, a, b in zip(level_strides(pool)[2:], deep, shallow, strict=True):
        assert a.shape[2] == 32 // stride[0]
        torch.testing.assert_close(a, b[:, :, None].expand_as(a), atol=1e-9, rtol=1e-9)


def test_stacked_slices_equal_a_3d_convolution():
    kernel = torch.randn(4, 3, 2, 2)
    volume = torch.randn(2, 3, 6, 8, 8)
    as_volume = (kernel[:, :, None] / 3).expand(-1, -1, 3, -1, -1)
    expected = F.conv3d(volume, as_volume, stride=(3, 2, 2))
    slices = merge_slices(volume.transpose(1, 2).flatten(0, 1), 3)
    got = F.conv2d(slices, repeat_over_slices(kernel, 3), stride=2)
    torch.testing.assert_close(got.unflatten(0, (2, 2)).transpose(1, 2), expected, atol=1e-5, rtol=1e-5)


def test_mixers_join_slices_once_they_are_not_zero(move_parameters):
    _, volume = pair(FLAT, move_parameters)
    x = torch.randn(1, 2, 5, 32, 32, dtype=torch.float64)
    changed = x.clone()
    changed[:, :, 0] += 1
    with torch.no_grad():
        apart = volume(x)[0][:, :, 1] - volume(changed)[0][:, :, 1]
        move_parameters(volume.mixers)
        joined = volume(x)[0][:, :, 1] - volume(changed)[0][:, :, 1]
    assert apart.abs().max() == 0
    assert joined.abs().max() > 1e-3


def test_mixer_is_a_residual_depth_wise_convolution(move_parameters):
    _, volume = pair(FLAT, move_parameters)
    mixer = volume.mixers[0][0]
    move_parameters(mixer)
    x = torch.randn(2, 40, 5, 3, 3, dtype=torch.float64)
    kernel = mixer.weight.t()[:, None, :, None, None]
    expected = x + F.conv3d(x, kernel, padding=(1, 0, 0), groups=40)
    got = mixer(x.transpose(1, 2).flatten(0, 1), 5).unflatten(0, (2, 5)).transpose(1, 2)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
