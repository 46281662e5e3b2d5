from __future__ import annotations

import csv
import json
from dataclasses import replace

import open_clip
import pytest
import torch

from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.held_out_reports import HeldOutReports
from nnunet_textguided.pretraining.report_corpus import ReportCorpus
from nnunet_textguided.pretraining.text_loop import TextLoop
from nnunet_textguided.pretraining.text_settings import TextTraining
from nnunet_textguided.pretraining.text_tokens import ReportTokens
from nnunet_textguided.pretraining.text_training import pretrain_text, split_reports
from nnunet_textguided.synthetic.reports import write_report_file
from nnunet_textguided.text.clip_encoder import load_clip_encoder

TINY = {
    "embed_dim": 32,
    "text_cfg": {"context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
QUICK = {"epochs": 3, "batch": 4, "learning_rate": 1e-2}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    return write_report_file(tmp_path_factory.mktemp("reports") / "reports.jsonl", 8)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A tower as a user would bring it: configuration and weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tower")
    config = {**TINY, "vision_cfg": {"image_size": 32, "patch_size": 32, "width": 64, "head_width": 64, "layers": 1}}
    (folder / "tiny.json").write_text(json.dumps(config))
    torch.save(open_clip.CLIP(**config).state_dict(), folder / "tiny.pt")
    return {"model": str(folder / "tiny.json"), "weights": str(folder / "tiny.pt")}


def test_reports_are_learned_and_the_files_load_in_open_clip_and_here(tmp_path, reports, start):
    result = pretrain_text(reports, tmp_path, TextTraining(**start, **QUICK))
    assert result.after.perplexity < 0.2 * result.before.perplexity
    written = json.loads(result.config.read_text())
    assert written["provenance"]["held_out_perplexity"] == result.after.perplexity
    model = open_clip.CLIP(**written["model_cfg"])
    model.load_state_dict(torch.load(result.weights, weights_only=True), strict=True)
    encoder = load_clip_encoder(str(result.config), str(result.weights))
    noted = json.loads(encoder.provenance["pretraining"])
    assert (noted["reports"], noted["training"]["seed"]) == (8, 0)
    assert encoder.provenance["licence"].startswith("continued from tiny.pt")
    rows = encoder.tokenizer(["disc bulge"])
    with torch.no_grad():
        expected = model.eval().encode_text(rows).numpy()
    assert abs(encoder.encode(["disc bulge"]) - expected).max() < 1e-5


def test_the_same_seed_gives_the_same_weights(tmp_path, reports, start):
    training = TextTraining(**start, **{**QUICK, "epochs": 1})
    paths = [pretrain_text(reports, tmp_path / name, training).weights for name in ("a", "b")]
    a, b = (torch.load(path, weights_only=True) for path in paths)
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path, reports, start, monkeypatch):
    training = TextTraining(**start, **QUICK)
    whole = pretrain_text(reports, tmp_path / "whole", training)
    passes = TextLoop._pass

    def power_cut(self, texts, number):
        if number == 3:
            raise KeyboardInterrupt
        return passes(self, texts, number)

    monkeypatch.setattr(TextLoop, "_pass", power_cut)
    with pytest.raises(KeyboardInterrupt):
        pretrain_text(reports, tmp_path / "cut", training)
    monkeypatch.setattr(TextLoop, "_pass", passes)
    resumed = pretrain_text(reports, tmp_path / "cut", training)
    a, b = (torch.load(result.weights, weights_only=True) for result in (whole, resumed))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert (tmp_path / "whole" / "progress.csv").read_text() == (tmp_path / "cut" / "progress.csv").read_text()


@pytest.mark.parametrize(("change", "named"), [({"seed": 1}, "seed: 0 -> 1"), ({}, "other reports")])
def test_a_checkpoint_of_another_training_is_not_gone_on_with(tmp_path, reports, start, change, named):
    training = TextTraining(**start, **{**QUICK, "epochs": 1})
    pretrain_text(reports, tmp_path / "out", training)
    other = reports if change else write_report_file(tmp_path / "other.jsonl", 8, seed=1)
    with pytest.raises(UserError, match=named):
        pretrain_text(other, tmp_path / "out", replace(training, **change))


def test_an_anchor_keeps_the_tower_near_its_start(tmp_path, reports, start):
    before = torch.load(start["weights"], weights_only=True)

    def moved(anchor):
        training = TextTraining(**start, **QUICK, anchor=anchor)
        after = torch.load(pretrain_text(reports, tmp_path / str(anchor), training).weights, weights_only=True)
        return sum(float((after[key] - before[key]).square().sum()) for key in before)

    assert moved(10.0) < 0.5 * moved(0.0)


def test_training_stops_when_the_held_out_loss_no_longer_falls(tmp_path, reports, start):
    training = TextTraining(**start, epochs=30, batch=16, learning_rate=0.3, patience=1)
    pretrain_text(reports, tmp_path, training)
    with (tmp_path / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    perplexity = [float(row["perplexity"]) for row in rows]
    best = perplexity.index(min(perplexity))
    assert len(rows) - 1 == best + 1 < 30


def test_held_out_reports_are_kept_apart():
    reports = [f"report {n}" for n in range(20)]
    known, kept = split_reports(reports, 0.15, seed=0)
    assert sorted(known + kept) == sorted(reports)
    assert len(kept) == 3
    assert split_reports(["a", "b"], 0.99, 0)[0]


@pytest.mark.parametrize(
    "change",
    [
        {"next_token": 0, "contrastive": 0, "neighbours": 0},
        {"neighbours": -1},
        {"dropout": 1.0},
        {"epochs": 0},
        {"moved": 2},
    ],
)
def test_settings_that_train_nothing_are_errors(change):
    with pytest.raises(UserError, match="Expected"):
        TextTraining(**change)


def test_of_long_reports_the_halves_of_their_beginning_are_compared():
    tokens = ReportTokens(open_clip.SimpleTokenizer(context_length=16), 16, 49408)
    long = " ".join(f"finding {n} is seen." for n in range(20))
    held_out = HeldOutReports([long, "disc bulge. no stenosis."], tokens)
    (first, second), other = held_out.pairs
    assert long.startswith(f"{first} {second}")
    assert 1 <= tokens.count(second) <= 13
    assert other == ("disc bulge.", "no stenosis.")


def test_every_pass_words_the_levels_anew_and_the_same_after_an_interruption():
    tokens = ReportTokens(open_clip.SimpleTokenizer(context_length=32), 32, 49408)
    reports = ["Bulge at L4-L5. Narrow canal at L3/L4."] * 8
    corpus = ReportCorpus(reports, tokens, TextTraining(seed=3))
    first, again, second = (corpus.texts(number) for number in (1, 1, 2))
    assert torch.equal(first.pieces, again.pieces)
    assert torch.equal(first.neighbours[1], again.neighbours[1])
    assert not (first.pieces.shape == second.pieces.shape and torch.equal(first.pieces, second.pieces))
    plain = ReportCorpus(reports, tokens, TextTraining(spelled=0, moved=0, neighbours=0)).texts(1)
    assert torch.equal(plain.pieces, tokens.ids(reports))
    assert len(plain.neighbours[0]) == 0
