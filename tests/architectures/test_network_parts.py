from __future__ import annotations

import pytest
import torch

from nnunet_textguided.architectures import NetworkSpec, check_encoder_name, list_encoders, supervised_strides
from nnunet_textguided.architectures.blocks import ConvBlock, shuffle_up
from nnunet_textguided.architectures.encoder import slice_encoder
from nnunet_textguided.architectures.positions import sine_positions
from nnunet_textguided.architectures.query_decoder import MaskVectors, QueryDecoder
from nnunet_textguided.architectures.spec import level_kernels, level_strides
from nnunet_textguided.architectures.text_guided_network import MaskScores, pad_to_multiple, score
from nnunet_textguided.errors import UserError


def test_strides_in_the_plane_are_ours_and_through_it_the_plans():
    pool = ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2))
    assert level_strides(pool) == [(1, 1, 1), (1, 2, 2), (2, 4, 4), (4, 8, 8), (4, 16, 16), (4, 32, 32)]
    assert supervised_strides(pool) == [(1, 1, 1), (1, 2, 2), (2, 4, 4), (4, 8, 8), (4, 16, 16)]


def test_strides_of_plans_with_few_and_many_stages():
    assert level_strides(((1, 1, 1), (2, 2, 2)))[-1] == (2, 32, 32)
    assert level_strides(((1, 1, 1), *((2, 2, 2),) * 7))[-1] == (32, 32, 32)
    assert supervised_strides([[1, 1], [2, 2]]) == [(1, 1), (2, 2), (4, 4), (8, 8), (16, 16)]


@pytest.mark.parametrize("pool", [((2, 2), (2, 2)), ((1, 1), (2, 2, 2)), ((1,), (2,))])
def test_strides_that_no_plan_has_are_an_error(pool):
    with pytest.raises(ValueError, match="pool_op_kernel_sizes"):
        level_strides(pool)


def test_kernels_reach_through_slices_where_the_plan_strides():
    depths = [kernel[0] for kernel in level_kernels(level_strides(((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2))))]
    assert depths == [1, 3, 3, 3, 3, 3]
    assert [k[0] for k in level_kernels(level_strides(((1, 1, 1), *((1, 2, 2),) * 5)))] == [1, 1, 1, 1, 3, 3]


@pytest.mark.parametrize("change", [{"num_classes": 1}, {"input_channels": 0}, {"num_findings": -1}])
def test_impossible_specs_are_errors(change):
    settings = {"encoder": "convnextv2_atto", "input_channels": 1, "num_classes": 2, "embedding_dim": 8, **change}
    with pytest.raises(ValueError, match="Expected input_channels"):
        NetworkSpec(pool_op_kernel_sizes=((1, 1), (2, 2)), **settings)


def test_widths_follow_the_encoder_unless_given():
    settings = {"input_channels": 1, "num_classes": 2, "embedding_dim": 8, "pool_op_kernel_sizes": ((1, 1), (2, 2))}
    assert NetworkSpec(encoder="convnextv2_nano.fcmae", **settings).decoder_width == 128
    assert NetworkSpec(encoder="convnextv2_tiny.fcmae", **settings).decoder_width == 256
    assert NetworkSpec(encoder="convnextv2_tiny", decoder_width=64, **settings).decoder_width == 64


def test_shuffle_up_equals_pixel_shuffle_in_2d_and_moves_depth_in_3d():
    x = torch.randn(1, 8, 3, 5, 7)
    flat = shuffle_up(x, (1, 2, 2))
    for z in range(3):
        torch.testing.assert_close(flat[:, :, z], torch.nn.functional.pixel_shuffle(x[:, :, z], 2))
    deep = shuffle_up(x, (2, 2, 2))
    assert deep.shape == (1, 1, 6, 10, 14)
    torch.testing.assert_close(deep[0, 0, 3, 4, 7], x[0, 0b101, 1, 2, 3])


def test_positions_tell_all_cells_apart_and_use_relative_place():
    positions = sine_positions((6, 10, 8), 128)
    assert positions.shape == (480, 128)
    distances = torch.cdist(positions, positions) + 100 * torch.eye(480)
    assert distances.min() > 0.1
    # The middle of a grid is the middle whatever the number of cells.
    torch.testing.assert_close(sine_positions((3, 3), 64)[4], sine_positions((9, 9), 64)[40], atol=1e-5, rtol=1e-5)


def test_conv_block_accepts_one_voxel_in_training():
    assert torch.isfinite(ConvBlock(4, 16, (3, 3, 3)).train()(torch.randn(1, 4, 1, 1, 1))).all()


def test_score_is_a_scaled_dot_product_plus_bias():
    feature, weights, biases = torch.randn(2, 16, 3, 4), torch.randn(2, 5, 16), torch.randn(2, 5)
    got = score(feature, weights, biases[:, :, None])
    for b, q, y, x in [(0, 0, 0, 0), (1, 4, 2, 3), (1, 2, 0, 3)]:
        expected = sum(feature[b, :, y, x] * weights[b, q]) / 4 + biases[b, q]
        torch.testing.assert_close(got[b, q, y, x], expected)


@pytest.mark.parametrize(("size", "mode"), [((3, 4), "bilinear"), ((2, 3, 4), "trilinear")])
def test_enlarged_scores_are_the_scores_of_enlarged_features_beside_the_details(size, mode):
    fine = tuple(2 * n for n in size)
    half, details = torch.randn(2, 16, *size), torch.randn(2, 4, *fine)
    vectors = MaskVectors(torch.randn(2, 5, 20), torch.randn(2, 5))
    enlarged = torch.nn.functional.interpolate(half, scale_factor=2, mode=mode)
    together = torch.cat([enlarged / 16**0.5, details / 4**0.5], dim=1)
    expected = (
        torch.einsum("bqc,bc...->bq...", vectors.weights, together) + vectors.biases[(...,) + (None,) * len(size)]
    )
    torch.testing.assert_close(MaskScores()(half, vectors, details), expected)


def test_a_query_learns_where_it_looked_and_not_only_what_is_there():
    torch.manual_seed(0)
    decoder = QueryDecoder([8], 32, 16)
    queries, blank = torch.randn(3, 32), torch.ones(1, 8, 5, 4)  # the same content everywhere
    with torch.no_grad():
        before = decoder(queries, [blank]).weights
        for layer in decoder.layers:
            layer.cross_attention.key.weight.mul_(-5)  # look elsewhere
        after = decoder(queries, [blank]).weights
    assert (after - before).abs().max() > 1e-3


def test_kernels_are_stored_with_channels_last_in_2d_and_3d(make_network):
    for plan in ("2d", "3d_anisotropic"):
        network = make_network(plan, num_findings=1)
        kernels = [p for p in network.parameters() if p.ndim > 3]
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        assert all(kernel.is_contiguous(memory_format=formats[kernel.ndim]) for kernel in kernels)


def test_encoder_starts_with_activations_of_the_size_of_its_input():
    torch.manual_seed(0)
    encoder = slice_encoder("convnextv2_atto", 1)
    stem = next(module for module in encoder.modules() if isinstance(module, torch.nn.Conv2d))
    with torch.no_grad():
        assert stem(torch.randn(8, 1, 32, 32)).std().item() == pytest.approx(1, abs=0.25)


def test_padding_repeats_the_border_at_the_end():
    padded = pad_to_multiple(torch.arange(6.0).reshape(1, 1, 2, 3), (4, 2))
    assert padded[0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]


def test_encoder_names_with_and_without_tag_are_accepted():
    assert check_encoder_name("convnextv2_tiny") == "convnextv2_tiny"
    assert check_encoder_name("convnextv2_atto.fcmae") == "convnextv2_atto.fcmae"
    assert "convnextv2_huge" in list_encoders()


@pytest.mark.parametrize(
    ("name", "near"), [("convnextv2_tinny", "convnextv2_tiny"), ("convnextv2_atto.fcmea", "convnextv2_atto.fcmae")]
)
def test_unknown_encoder_lists_near_misses(name, near):
    with pytest.raises(UserError, match=near.replace(".", r"\.")):
        check_encoder_name(name)


def test_weight_decay_spares_norms_biases_and_queries(make_network):
    network = make_network("3d_flat", embedding_dim=None)
    spared = network.no_weight_decay()
    assert {"queries.background", "queries.seg_layers.vectors", "query_decoder.norm.weight"} <= spared
    assert "encoder.stages_0.blocks.0.mlp.grn.weight" in spared
    assert "decoder.fuse.conv.weight" not in spared
    assert "query_decoder.to_mask.weight" not in spared
