"""The loop of the text tower: passes over the reports, early stopping, the best weights, going on after a stop."""

from __future__ import annotations

import csv
import logging
import math
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from tqdm import tqdm

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path
from nnunet_textguided.pretraining.causal_tower import CausalTower
from nnunet_textguided.pretraining.held_out_reports import HeldOutReports, ReportScores
from nnunet_textguided.pretraining.report_corpus import PassTexts, ReportCorpus
from nnunet_textguided.pretraining.text_checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from nnunet_textguided.pretraining.text_objectives import next_token_loss, sentence_loss
from nnunet_textguided.pretraining.text_settings import TextTraining
from nnunet_textguided.pretraining.text_tokens import ReportTokens
from nnunet_textguided.trainers.optimisation import MAX_GRADIENT_NORM

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)

LOG = "progress.csv"
COLUMNS = ("epoch", "loss", "perplexity", "retrieval", "retrieval_by_chance")
WARMUP = 0.1


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
        fabric: Device and precision.
        tower: The tower.
        tokens: Its tokenizer.
        training: What is trained.
        output: Folder of log and checkpoint.
    """

    def __init__(
        self, fabric: Fabric, tower: CausalTower, tokens: ReportTokens, training: TextTraining, output: Path
    ) -> None:
        self.fabric, self.plain, self.tokens, self.training, self.output = fabric, tower, tokens, training, output
        named = [(n, p) for n, p in tower.text.named_parameters() if p.requires_grad and not n.startswith("visual.")]
        self.parameters = [p for _, p in named]
        groups = [
            {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": training.weight_decay},
            {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.tower, self.optimizer = fabric.setup(tower, torch.optim.AdamW(groups, lr=training.learning_rate))
        self.start = [p.detach().clone() for p in self.parameters] if training.anchor else []
        self.history: list[Epoch] = []
        self.weights = deepcopy(tower.state_dict())

    @property
    def best(self) -> Epoch:
        """The pass with the lowest held-out perplexity, the first of equal ones; `weights` are its."""
        return min(self.history, key=lambda epoch: epoch.scores.perplexity)

    def train(self, corpus: ReportCorpus, held_out: HeldOutReports) -> Epoch:
        """Train until the held-out perplexity no longer falls, or go on where an interrupted run stopped.

        Args:
            corpus: Reports to train with.
            held_out: Reports kept back.

        Returns:
            The best pass; its weights are in the tower.

        Raises:
            UserError: The folder holds a checkpoint of another training.
        """
        self._resume(corpus.reports)
        if not self.history:
            self._note(Epoch(0, float("nan"), held_out.scores(self.plain)))
        first, last = self.history[-1].number, self.training.epochs
        for number in tqdm(range(first + 1, last + 1), initial=first, total=last, unit="pass", mininterval=1):
            if number - 1 - self.best.number >= self.training.patience:
                break
            loss = self._pass(corpus.texts(number), number)
            self._note(Epoch(number, loss, held_out.scores(self.plain)))
            if self.best.number == number:
                self.weights = deepcopy(self.plain.state_dict())
            save_checkpoint(self.output / CHECKPOINT, self.training, corpus.reports, self._state())
        self.plain.load_state_dict(self.weights)
        return self.best

    def _state(self) -> dict[str, Any]:
        return {
            "tower": self.plain.state_dict(),
            "weights": self.weights,
            "optimizer": self.optimizer.state_dict(),
            "history": [(epoch.number, epoch.loss, *epoch.scores) for epoch in self.history],
        }

    def _resume(self, reports: list[str]) -> None:
        state = load_checkpoint(self.output / CHECKPOINT, self.training, reports)
        if state is None:
            return
        self.plain.load_state_dict(state["tower"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.weights = state["weights"]
        self.history = [Epoch(number, loss, ReportScores(*scores)) for number, loss, *scores in state["history"]]
        logger.info("going on after pass %d of %s", self.history[-1].number, self.output / CHECKPOINT)

    def _pass(self, texts: PassTexts, number: int) -> float:
        self.tower.train()
        seed = self.training.seed * 100_003 + number
        torch.manual_seed(seed)  # of dropout: the same whether the run was interrupted or not
        generator, total = torch.Generator().manual_seed(seed), 0.0
        batches = torch.randperm(len(texts.pieces), generator=generator).split(self.training.batch)
        for step, chosen in enumerate(batches):
            share = (number - 1 + step / len(batches)) / self.training.epochs
            for group in self.optimizer.param_groups:
                group["lr"] = self.training.learning_rate * rate_factor(share)
            loss = self._loss(texts.pieces[chosen].to(self.fabric.device))
            if len(texts.neighbours[0]) > 1:
                drawn = torch.randint(len(texts.neighbours[0]), (self.training.batch,), generator=generator).unique()
                pair = (side[drawn].to(self.fabric.device) for side in texts.neighbours)
                loss = loss + self.training.neighbours * self._neighbour_loss(*pair)
            if not torch.isfinite(loss):
                raise UserError(f"The loss is {float(loss)} in pass {number}; lower --learning-rate.")
            self.optimizer.zero_grad()
            self.fabric.backward(loss)
            self.fabric.clip_gradients(self.tower, self.optimizer, max_norm=MAX_GRADIENT_NORM)
            self.optimizer.step()
            total += float(loss.detach()) * len(chosen)
        return total / len(texts.pieces)

    def _loss(self, rows: torch.Tensor) -> torch.Tensor:
        training, end = self.training, self.tokens.end
        states, first = self.tower(rows, end)
        loss = states.new_zeros(())
        if training.next_token:
            cost, count = next_token_loss(states, self.plain.logits, rows[:, : states.shape[1]], end)
            loss = loss + training.next_token * cost / count.clamp_min(1)
        if training.contrastive and len(rows) > 1:
            _, second = self.tower(rows, end)
            loss = loss + training.contrastive * sentence_loss(first, second, training.temperature)
        if training.anchor:
            away = sum((p - q).square().sum() for p, q in zip(self.parameters, self.start, strict=True))
            loss = loss + training.anchor * away
        return loss

    def _neighbour_loss(self, one: torch.Tensor, next_one: torch.Tensor) -> torch.Tensor:
        first, second = (self.tower(rows, self.tokens.end)[1] for rows in (one, next_one))
        return sentence_loss(first, second, self.training.temperature)

    def _note(self, epoch: Epoch) -> None:
        self.history.append(epoch)
        scores = epoch.scores
        told = f"loss {epoch.loss:.3f}" if epoch.number else "before training"
        text = "pass %d: %s, held-out perplexity %.2f, retrieval %.2f (chance %.2f)"
        logger.info(text, epoch.number, told, *scores)
        with atomic_path(self.output / LOG) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows([e.number, f"{e.loss:.6g}", *(f"{v:.6g}" for v in e.scores)] for e in self.history)


def rate_factor(share: float) -> float:
    """Warm-up, then a cosine, over the share of the training that is done.

    Args:
        share: 0..1.
    """
    if share < WARMUP:
        return (share + 1e-3) / (WARMUP + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (share - WARMUP) / (1 - WARMUP)))
