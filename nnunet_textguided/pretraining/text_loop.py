"""The loop of the text tower: passes over the reports, early stopping, the best weights."""

from __future__ import annotations

import csv
import logging
import math
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from tqdm import tqdm

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path
from nnunet_textguided.pretraining.causal_tower import CausalTower
from nnunet_textguided.pretraining.held_out_reports import HeldOutReports, ReportScores
from nnunet_textguided.pretraining.text_objectives import next_token_loss, sentence_loss
from nnunet_textguided.pretraining.text_settings import TextTraining
from nnunet_textguided.pretraining.text_tokens import ReportTokens

logger = logging.getLogger(__name__)

LOG = "progress.csv"
COLUMNS = ("epoch", "loss", "perplexity", "retrieval", "retrieval_by_chance")
WARMUP = 0.1
MAX_GRADIENT_NORM = 1.0


class Epoch(NamedTuple):
    """One row of the log.

    Attributes:
        number: 0 = before training.
        loss: Mean training loss.
        scores: Of the held-out reports.
    """

    number: int
    loss: float
    scores: ReportScores


class TextLoop:
    """Trains a tower on pieces of reports; ends with the weights of the best held-out perplexity.

    Args:
        tower: The tower.
        tokens: Its tokenizer.
        training: What is trained.
        output: Folder of the log.
    """

    def __init__(self, tower: CausalTower, tokens: ReportTokens, training: TextTraining, output: Path) -> None:
        self.tower, self.tokens, self.training, self.output = tower, tokens, training, output
        named = [(n, p) for n, p in tower.text.named_parameters() if p.requires_grad and not n.startswith("visual.")]
        self.parameters = [p for _, p in named]
        self.start = [p.detach().clone() for p in self.parameters] if training.anchor else []
        groups = [
            {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": training.weight_decay},
            {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=training.learning_rate)
        self.history: list[Epoch] = []

    def train(self, pieces: list[str], held_out: HeldOutReports) -> Epoch:
        """Train until the held-out perplexity no longer falls.

        Args:
            pieces: Pieces of the training reports.
            held_out: Reports kept back.

        Returns:
            The best pass; its weights are in the tower.
        """
        ids = self.tokens.ids(pieces)
        best = self._note(Epoch(0, float("nan"), held_out.scores(self.tower)))
        weights = deepcopy(self.tower.state_dict())
        steps_a_pass = math.ceil(len(ids) / self.training.batch)
        for number in tqdm(range(1, self.training.epochs + 1), unit="pass", mininterval=1):
            loss = self._pass(ids, number, steps_a_pass)
            now = self._note(Epoch(number, loss, held_out.scores(self.tower)))
            if now.scores.perplexity < best.scores.perplexity:
                best, weights = now, deepcopy(self.tower.state_dict())
            elif number - best.number >= self.training.patience:
                break
        self.tower.load_state_dict(weights)
        return best

    def _pass(self, ids: torch.Tensor, number: int, steps_a_pass: int) -> float:
        self.tower.train()
        generator = torch.Generator().manual_seed(self.training.seed * 100_003 + number)
        order, total = torch.randperm(len(ids), generator=generator), 0.0
        for step, chosen in enumerate(order.split(self.training.batch)):
            share = ((number - 1) * steps_a_pass + step) / (self.training.epochs * steps_a_pass)
            for group in self.optimizer.param_groups:
                group["lr"] = self.training.learning_rate * rate_factor(share)
            loss = self._loss(ids[chosen])
            if not torch.isfinite(loss):
                raise UserError(f"The loss is {float(loss)} in pass {number}; lower --learning-rate.")
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT_NORM)
            self.optimizer.step()
            total += float(loss.detach()) * len(chosen)
        return total / len(ids)

    def _loss(self, rows: torch.Tensor) -> torch.Tensor:
        training, end = self.training, self.tokens.end
        states, first = self.tower(rows, end)
        loss = states.new_zeros(())
        if training.next_token:
            cost, count = next_token_loss(self.tower.logits(states), rows[:, : states.shape[1]], end)
            loss = loss + training.next_token * cost / count.clamp_min(1)
        if training.contrastive and len(rows) > 1:
            _, second = self.tower(rows, end)
            loss = loss + training.contrastive * sentence_loss(first, second, training.temperature)
        if training.anchor:
            away = sum((p - q).square().sum() for p, q in zip(self.parameters, self.start, strict=True))
            loss = loss + training.anchor * away
        return loss

    def _note(self, epoch: Epoch) -> Epoch:
        self.history.append(epoch)
        scores = epoch.scores
        logger.info(
            "pass %d: loss %.3f, held-out perplexity %.2f, retrieval %.2f (chance %.2f)",
            epoch.number,
            epoch.loss,
            *scores,
        )
        with atomic_path(self.output / LOG) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows([e.number, f"{e.loss:.6g}", *(f"{v:.6g}" for v in e.scores)] for e in self.history)
        return epoch


def rate_factor(share: float) -> float:
    """Warm-up, then a cosine, over the share of the training that is done.

    Args:
        share: 0..1.
    """
    if share < WARMUP:
        return (share + 1e-3) / (WARMUP + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (share - WARMUP) / (1 - WARMUP)))
