"""What hears of what: windows, lines, images; and what an attention without positions cannot tell apart."""

from __future__ import annotations

import torch

from nnunet_textguided.architectures.mixed_transformer.external_attention import ExternalAttention
from nnunet_textguided.architectures.mixed_transformer.global_attention import GaussianAxialAttention
from nnunet_textguided.architectures.mixed_transformer.local_attention import (
    LocalAttention,
    join_windows,
    split_windows,
)
from nnunet_textguided.architectures.mixed_transformer.local_global_attention import LocalGlobalAttention

EXACT = {"rtol": 1e-10, "atol": 1e-12}


def test_permuted_windows_give_permuted_outputs_of_local_attention():
    torch.manual_seed(0)
    layer, windows = LocalAttention(8, 2).double(), torch.randn(1, 1, 6, 16, 8, dtype=torch.float64)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(layer(windows[:, :, order]), layer(windows)[:, :, order], **EXACT)


def test_permuted_tokens_within_a_window_give_permuted_outputs_of_local_attention():
    torch.manual_seed(0)
    layer, windows = LocalAttention(8, 2).double(), torch.randn(1, 1, 2, 16, 8, dtype=torch.float64)
    order = torch.randperm(16)
    assert order.tolist() != list(range(16))
    torch.testing.assert_close(layer(windows[..., order, :]), layer(windows)[..., order, :], **EXACT)


def test_permuted_tokens_give_permuted_outputs_of_external_attention():
    torch.manual_seed(0)
    layer, tokens = ExternalAttention(8, 2, 8, 2).double(), torch.randn(1, 1, 10, 8, dtype=torch.float64)
    order = torch.randperm(10)
    torch.testing.assert_close(layer(tokens[:, :, order]), layer(tokens)[:, :, order], **EXACT)


def test_permuted_tokens_of_a_line_do_not_give_permuted_outputs_of_gaussian_attention():
    torch.manual_seed(0)
    layer, line = GaussianAxialAttention(8), torch.randn(1, 1, 6, 8)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert (layer(line[:, :, order]) - layer(line)[:, :, order]).abs().max() > 1e-3


def test_a_change_in_one_window_stays_there_in_local_attention():
    torch.manual_seed(0)
    layer, grid = LocalAttention(8, 2), torch.randn(1, 8, 12, 8)
    changed = grid.clone()
    changed[:, 5, 2] += 1.0  # in the window of rows 4..7, columns 0..3
    before, after = (join_windows(layer(split_windows(x, 4)), 4) for x in (grid, changed))
    differs = (before != after).any(dim=-1)[0]
    assert differs[4:8, 0:4].all()
    differs[4:8, 0:4] = False
    assert not differs.any()


def test_a_change_in_one_window_reaches_others_through_global_attention():
    torch.manual_seed(0)
    layer, grid = LocalGlobalAttention(8, 2, 4), torch.randn(1, 8, 12, 8)
    changed = grid.clone()
    changed[:, 5, 2] += 1.0
    differs = (layer(grid) - layer(changed)).abs().amax(dim=-1)[0] > 1e-7
    assert differs[4:8, 4:12].any(dim=0).all()  # windows of the same row
    assert differs[0:4, 0:4].any()  # and of the same column


def test_a_token_reads_from_its_row_and_column_only():
    torch.manual_seed(0)
    layer, grid = GaussianAxialAttention(8), torch.randn(1, 5, 6, 8)
    with torch.no_grad():
        layer.log_decay.fill_(-3.0)  # wide, so that the ends of a line are heard
    changed = grid.clone()
    changed[:, 1, 2] += 1.0
    differs = (layer(grid) != layer(changed)).any(dim=-1)[0]
    expected = torch.zeros(5, 6, dtype=torch.bool)
    expected[1], expected[:, 2] = True, True
    assert torch.equal(differs, expected)


def test_a_steep_gaussian_leaves_each_token_with_itself():
    torch.manual_seed(0)
    layer, grid = GaussianAxialAttention(8), torch.randn(1, 4, 5, 8)
    with torch.no_grad():
        layer.log_decay.fill_(8.0)
    torch.testing.assert_close(layer(grid), 2 * layer.value(grid))


def test_images_of_a_batch_do_not_hear_of_each_other():
    torch.manual_seed(0)
    layers = [LocalGlobalAttention(8, 2, 4), ExternalAttention(8, 2, 8, 2)]
    grids = torch.randn(2, 6, 5, 8)
    for layer in layers:
        torch.testing.assert_close(layer(grids)[:1], layer(grids[:1]))
