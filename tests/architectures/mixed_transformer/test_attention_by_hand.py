"""Every attention against a slow computation with loops over tokens, in numpy and double precision."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from nnunet_textguided.architectures.mixed_transformer.aggregation import DynamicAggregation
from nnunet_textguided.architectures.mixed_transformer.external_attention import ExternalAttention
from nnunet_textguided.architectures.mixed_transformer.global_attention import GaussianAxialAttention
from nnunet_textguided.architectures.mixed_transformer.local_attention import LocalAttention, split_windows
from nnunet_textguided.architectures.mixed_transformer.local_global_attention import LocalGlobalAttention

CHANNELS, HEADS, WINDOW = 8, 2, 4
TOLERANCE = {"rtol": 1e-9, "atol": 1e-11}


def ready(module: nn.Module, *size: int) -> tuple[nn.Module, torch.Tensor, np.ndarray]:
    """A module with weights that are not small, and input for it."""
    torch.manual_seed(1)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.6)
    x = torch.randn(*size, dtype=torch.float64)
    return module, x, x.numpy()


def linear(layer: nn.Linear, token: np.ndarray) -> np.ndarray:
    y = layer.weight.detach().numpy() @ token
    return y if layer.bias is None else y + layer.bias.detach().numpy()


def local_by_hand(layer: LocalAttention, tokens: np.ndarray) -> np.ndarray:
    """Attention among the tokens (n, C) of one window, a head and a pair of tokens at a time."""
    query, key, value = (np.stack([linear(one, t) for t in tokens]) for one in (layer.query, layer.key, layer.value))
    width = tokens.shape[1] // layer.heads
    read = np.zeros_like(tokens)
    for head in range(layer.heads):
        part = slice(head * width, (head + 1) * width)
        for i in range(len(tokens)):
            scores = [query[i, part] @ key[j, part] / np.sqrt(width) for j in range(len(tokens))]
            for j, weight in enumerate(softmax(scores)):
                read[i, part] += weight * value[j, part]
    return np.stack([linear(layer.project, token) for token in read])


def global_by_hand(layer: GaussianAxialAttention, grid: np.ndarray) -> np.ndarray:
    """Each token of (H, W, C) reads from its row, and again from its column."""
    height, width, _ = grid.shape
    decay = float(layer.log_decay.detach().exp())
    result = np.zeros_like(grid)
    for row in range(height):
        for column in range(width):
            query = linear(layer.query, grid[row, column])
            along = {
                "row": [((row, other), (other - column) ** 2) for other in range(width)],
                "column": [((other, column), (other - row) ** 2) for other in range(height)],
            }
            for line in along.values():
                scores = [query @ linear(layer.key, grid[place]) - decay * distance for place, distance in line]
                for (place, _), weight in zip(line, softmax(scores), strict=True):
                    result[row, column] += weight * linear(layer.value, grid[place])
    return result


def aggregation_by_hand(layer: DynamicAggregation, tokens: np.ndarray) -> np.ndarray:
    weights = softmax(linear(layer.weights, tokens.sum(0) / len(tokens)))
    return sum(weight * token for weight, token in zip(weights, tokens, strict=True))


def bilinear_by_hand(grid: np.ndarray, factor: int) -> np.ndarray:
    """Enlarge (h, w, C) so that the corner tokens stay at the corners."""
    height, width, channels = grid.shape
    result = np.zeros((height * factor, width * factor, channels))
    for row in range(height * factor):
        for column in range(width * factor):
            y = row * (height - 1) / (height * factor - 1)
            x = column * (width - 1) / (width * factor - 1)
            for near_y in range(height):
                for near_x in range(width):
                    share = max(0, 1 - abs(y - near_y)) * max(0, 1 - abs(x - near_x))
                    result[row, column] += share * grid[near_y, near_x]
    return result


def test_local_attention_is_that_of_each_window_by_hand():
    layer, x, tokens = ready(LocalAttention(CHANNELS, HEADS), 2, 1, 2, 9, CHANNELS)
    expected = [[[local_by_hand(layer, window) for window in row] for row in image] for image in tokens]
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, **TOLERANCE)


def test_gaussian_axial_attention_is_that_by_hand():
    layer, x, grids = ready(GaussianAxialAttention(CHANNELS), 2, 3, 5, CHANNELS)
    expected = [global_by_hand(layer, grid) for grid in grids]
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, **TOLERANCE)


def test_dynamic_aggregation_is_that_by_hand():
    layer, x, windows = ready(DynamicAggregation(CHANNELS, 9), 2, 3, 9, CHANNELS)
    expected = [[aggregation_by_hand(layer, window) for window in row] for row in windows]
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, **TOLERANCE)


def test_external_attention_normalises_over_tokens_and_then_over_slots():
    layer, x, grids = ready(ExternalAttention(CHANNELS, HEADS, slots=12, expansion=3), 2, 2, 3, CHANNELS)
    heads, width, slots = 6, 4, 4
    keys = layer.keys.weight.detach().numpy()
    values, offset = layer.values.weight.detach().numpy().T, layer.values.bias.detach().numpy()
    assert keys.shape == values.shape == (slots, width)
    for grid, result in zip(grids, layer(x).detach().numpy(), strict=True):
        tokens = grid.reshape(-1, CHANNELS)
        query = np.stack([linear(layer.query, token) for token in tokens])
        read = np.zeros_like(query)
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            weights = np.zeros((len(tokens), slots))
            for slot in range(slots):
                weights[:, slot] = softmax([token[part] @ keys[slot] for token in query])
            for i in range(len(tokens)):
                weights[i] /= weights[i].sum() + 1e-9  # the authors' offset
                read[i, part] = offset + sum(weights[i, slot] * values[slot] for slot in range(slots))
        expected = np.stack([linear(layer.project, token) for token in read]).reshape(grid.shape)
        np.testing.assert_allclose(result, expected, **TOLERANCE)


def test_local_global_attention_is_its_parts_by_hand():
    layer, x, [grid] = ready(LocalGlobalAttention(CHANNELS, HEADS, WINDOW), 1, 8, 12, CHANNELS)
    local, coarse = np.zeros_like(grid), np.zeros((2, 3, CHANNELS))
    for row in range(2):
        for column in range(3):
            place = (slice(row * WINDOW, (row + 1) * WINDOW), slice(column * WINDOW, (column + 1) * WINDOW))
            tokens = local_by_hand(layer.local_attention, grid[place].reshape(-1, CHANNELS))
            local[place] = tokens.reshape(WINDOW, WINDOW, CHANNELS)
            coarse[row, column] = aggregation_by_hand(layer.aggregation, tokens)
    far = bilinear_by_hand(global_by_hand(layer.global_attention, coarse), WINDOW)
    joined = np.concatenate([far, local], axis=-1)
    expected = [[linear(layer.join, token) for token in row] for row in joined]
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), expected, **TOLERANCE)


def test_a_grid_that_windows_do_not_divide_is_continued_by_its_border():
    layer, x, [grid] = ready(LocalGlobalAttention(CHANNELS, HEADS, WINDOW), 1, 5, 3, CHANNELS)
    padded = torch.from_numpy(np.pad(grid, ((0, 3), (0, 1), (0, 0)), mode="edge"))[None]
    torch.testing.assert_close(layer(x), layer(padded)[:, :5, :3], rtol=0, atol=0)


def test_windows_hold_the_tokens_of_their_square():
    grid = torch.arange(8 * 12).reshape(1, 8, 12, 1)
    windows = split_windows(grid, 4)
    assert windows.shape == (1, 2, 3, 16, 1)
    assert windows[0, 1, 2].flatten().tolist() == grid[0, 4:8, 8:12, 0].flatten().tolist()
