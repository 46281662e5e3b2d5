"""Pretrains the text encoder on reports: from a file of reports to a tower's files."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from nnunet_textguided.pretraining.bigram import Bigram
from nnunet_textguided.pretraining.causal_tower import CausalTower
from nnunet_textguided.pretraining.held_out_reports import HeldOutReports, ReportScores
from nnunet_textguided.pretraining.report_corpus import ReportCorpus
from nnunet_textguided.pretraining.reports import read_reports
from nnunet_textguided.pretraining.text_loop import TextLoop
from nnunet_textguided.pretraining.text_settings import SMALL_TOWER, TextTraining
from nnunet_textguided.pretraining.text_tokens import ReportTokens
from nnunet_textguided.pretraining.tower_file import save_tower
from nnunet_textguided.text.clip_encoder import load_tower, new_tower
from nnunet_textguided.text.clip_source import ClipSource, find_source

logger = logging.getLogger(__name__)


class TextPretraining(NamedTuple):
    """What a pretraining gave.

    Attributes:
        config: open_clip configuration.
        weights: Checkpoint.
        before: Held-out scores of the tower as it came.
        after: Held-out scores of the tower written.
        bigram: Held-out perplexity of a bigram model of the same reports.
    """

    config: Path
    weights: Path
    before: ReportScores
    after: ReportScores
    bigram: float


def pretrain_text(
    source: str | Path,
    output: str | Path,
    training: TextTraining,
    column: str | None = None,
    accelerator: str = "auto",
    precision: str = "32-true",
) -> TextPretraining:
    """Continue a text tower on reports, or train a small one from random weights.

    Args:
        source: See `read_reports`.
        output: Folder to write to.
        training: What to train.
        column: See `read_reports`.
        accelerator: Lightning's: auto, cpu, cuda, mps; one device is used.
        precision: Lightning's, such as 32-true, bf16-mixed.

    Raises:
        UserError: Nothing to learn from, a tower that cannot be had, or a checkpoint of another training in the folder.
    """
    from lightning_fabric import Fabric

    reports = read_reports(source, column)
    known, kept = split_reports(reports, training.held_out, training.seed)
    torch.manual_seed(training.seed)
    clip, tokens, config, start = _tower(training)
    tower = CausalTower(clip, training.dropout)
    held_out = HeldOutReports(kept, tokens)
    plain = [piece for report in known for piece in tokens.pieces(report)]
    bigram = Bigram(tokens.unpadded(plain), int(config["text_cfg"]["vocab_size"]))
    reference = bigram.perplexity(tokens.unpadded(held_out.pieces))
    logger.info(
        "%d reports (%d pieces) to train, %d held out; perplexity of a bigram model %.2f",
        len(known),
        len(plain),
        len(kept),
        reference,
    )
    fabric = Fabric(accelerator=accelerator, devices=1, precision=cast(Any, precision))  # Lightning checks it
    loop = TextLoop(fabric, tower, tokens, training, Path(output))
    best = loop.train(ReportCorpus(known, tokens, training), held_out)
    provenance = {
        "method": "next token and sentence contrast on reports",
        "licence": _licence(start),
        "training": asdict(training),
        "reports": len(reports),
        "held_out_reports": len(kept),
        "best_pass": best.number,
        "held_out_perplexity": best.scores.perplexity,
        "bigram_perplexity": reference,
    }
    config_path, weights_path = save_tower(clip, config, Path(output), provenance)
    return TextPretraining(config_path, weights_path, loop.history[0].scores, best.scores, reference)


def split_reports(reports: list[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Keep back a share of the reports, at least one, never all.

    Args:
        reports: At least two, all different.
        share: Of them.
        seed: Which ones.
    """
    count = min(max(1, round(share * len(reports))), len(reports) - 1)
    kept = set(np.random.default_rng(seed).permutation(len(reports))[:count].tolist())
    return (
        [report for number, report in enumerate(reports) if number not in kept],
        [report for number, report in enumerate(reports) if number in kept],
    )


def _tower(training: TextTraining) -> tuple[torch.nn.Module, ReportTokens, dict, ClipSource | None]:
    small = training.model == "small"
    if small:
        tower = new_tower(SMALL_TOWER, "small")
    else:
        tower = load_tower(find_source(training.model, training.weights), training.model)
    text = tower.config["text_cfg"]
    length, known = int(text.get("context_length", 77)), int(text.get("vocab_size", 49408))
    return tower.clip, ReportTokens(tower.tokenizer, length, known), tower.config, tower.source


def _licence(start: ClipSource | None) -> str:
    begin = "trained from random weights" if start is None else f"continued from {start.weights} ({start.licence})"
    return f"{begin}; the licence of the reports applies"
