from __future__ import annotations

import math

import open_clip
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nnunet_textguided.pretraining.bigram import Bigram
from nnunet_textguided.pretraining.causal_tower import CausalTower
from nnunet_textguided.pretraining.text_objectives import next_token_loss, sentence_loss
from nnunet_textguided.pretraining.text_tokens import ReportTokens
from nnunet_textguided.text.clip_encoder import build_clip

END = 9
TINY = {
    "embed_dim": 16,
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


@pytest.fixture
def tower() -> CausalTower:
    torch.manual_seed(0)
    return CausalTower(build_clip(TINY, "tiny"), dropout=0.2)


@pytest.fixture(scope="module")
def tokens() -> ReportTokens:
    return ReportTokens(open_clip.SimpleTokenizer(context_length=16), 16, 49408)


def test_the_loss_stops_at_the_end_of_text_and_counts_it():
    rows = torch.tensor([[8, 0, 3, END, 0, 0], [8, END, 0, 0, 0, 0]])  # 0 is a token before the end, padding after
    logits = torch.zeros(2, 6, 10, requires_grad=True)
    cost, count = next_token_loss(logits, nn.Identity(), rows, END)
    assert int(count) == 4
    assert float(cost) == pytest.approx(4 * math.log(10), rel=1e-6)
    cost.backward()
    told = logits.grad.abs().sum(2) > 0
    assert told.tolist() == [[True, True, True, False, False, False], [True, False, False, False, False, False]]


def test_a_sure_and_right_guess_costs_nothing():
    rows = torch.tensor([[8, 0, 3, END, 0]])
    logits = 100 * F.one_hot(rows.roll(-1, 1), 10).float()
    assert float(next_token_loss(logits, nn.Identity(), rows, END)[0]) < 1e-6


def test_sentences_nearest_to_themselves_cost_little_and_shuffled_ones_much():
    x = torch.eye(4, 8)
    assert float(sentence_loss(x, x, 0.05)) < 1e-6
    assert float(sentence_loss(x, x.roll(1, 0), 0.05)) == pytest.approx(20, rel=1e-3)
    assert float(sentence_loss(x, torch.ones(4, 8), 0.05)) == pytest.approx(math.log(4), rel=1e-3)


def test_embeddings_are_those_of_open_clip_and_the_keys_stay(tower, tokens):
    rows = tokens.ids(["disc bulge", "no herniation at L4/L5"])
    keys = set(build_clip(TINY, "tiny").state_dict())
    assert set(tower.clip.state_dict()) == keys
    tower.eval()
    with torch.no_grad():
        torch.testing.assert_close(tower(rows, tokens.end)[1], tower.clip.encode_text(rows), atol=1e-5, rtol=1e-5)


def test_dropout_is_on_in_training_only(tower, tokens):
    rows = tokens.ids(["disc bulge"])
    tower.train()
    assert not torch.equal(tower(rows, tokens.end)[1], tower(rows, tokens.end)[1])
    tower.eval()
    assert torch.equal(tower(rows, tokens.end)[1], tower(rows, tokens.end)[1])


def test_a_state_does_not_know_the_next_token(tower, tokens):
    tower.eval()
    rows = tokens.ids(["disc bulge", "disc normal"])
    states, _ = tower(rows, tokens.end)
    assert torch.allclose(states[0, :2], states[1, :2], atol=1e-6)
    assert not torch.allclose(states[0, 2], states[1, 2], atol=1e-3)


def test_longest_pieces_fit_with_start_and_end(tokens):
    report = "Disc bulge at L4/L5, mild. " * 6
    pieces = tokens.pieces(report.strip())
    assert len(pieces) > 1
    ids = tokens.unpadded(pieces)
    assert all(row[0] == tokens.start and row[-1] == tokens.end for row in ids)
    whole = open_clip.SimpleTokenizer(context_length=200)([report.strip()])[0]
    inner = [token for row in ids for token in row[1:-1]]
    assert inner == whole[1 : int((whole == tokens.end).int().argmax())].tolist()


def test_bigram_perplexity_by_hand():
    model = Bigram([[0, 1, 2], [0, 1, 3]], vocab_size=10)
    share = {1: 2 / 4, 2: 1 / 4}
    p = [w * 1 + u * share[1] + (1 - w - u) / 10 for w, u in [(0.9, 0.09)]]
    q = [w * 0.5 + u * share[2] + (1 - w - u) / 10 for w, u in [(0.9, 0.09)]]
    assert model.perplexity([[0, 1, 2]]) == pytest.approx(math.exp(-(math.log(p[0]) + math.log(q[0])) / 2), rel=1e-9)
    assert model.perplexity([[5, 6]]) == pytest.approx(1 / (0.01 / 10), rel=1e-6)
