"""Graph breaks are counted from the start, graphs compiled again only after warm-up."""

from __future__ import annotations

import itertools

import pytest
import torch

from nnunet_textguided.benchmark.compilation import compile_events


@pytest.fixture(autouse=True)
def _fresh():
    yield
    torch._dynamo.reset()


def plain(x):
    return x * 2 + 1


def broken(x):
    x = x * 2
    torch._dynamo.graph_break()
    return x + 1


def test_what_compiles_once_has_no_events():
    function, x = torch.compile(plain, backend="eager"), torch.ones(3)
    assert compile_events(lambda: function(x), steps=2) == (0, 0)


def test_a_graph_break_is_counted():
    function, x = torch.compile(broken, backend="eager"), torch.ones(3)
    breaks, again = compile_events(lambda: function(x), steps=2)
    assert (breaks, again) == (1, 0)


def test_a_type_that_changes_after_warm_up_is_compiled_again():
    function = torch.compile(plain, backend="eager")
    inputs = itertools.chain([torch.ones(3)] * 3, itertools.repeat(torch.ones(3, dtype=torch.float64)))
    assert compile_events(lambda: function(next(inputs)), steps=2) == (0, 1)
