"""What decides a pretraining of the text encoder."""

from __future__ import annotations

from dataclasses import dataclass

from nnunet_textguided.errors import UserError

SMALL_TOWER = {
    "embed_dim": 256,
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 256, "heads": 4, "layers": 4},
}
"""open_clip configuration that `--text-model small` trains from random weights; 16 million parameters."""
SMALL_RATE = 1e-3
"""Learning rate for it; a pretrained tower wants a twentieth."""


@dataclass(frozen=True, kw_only=True)
class TextTraining:
    """All that decides a pretraining; it and the reports decide the weights.

    Attributes:
        model: open_clip name, JSON configuration, local-dir:, hf-hub:, or "small" (random weights).
        weights: Tag or file; None for "small".
        epochs: Passes over the reports at most.
        patience: Passes without a better held-out loss after which it stops.
        batch: Pieces of reports a step.
        learning_rate: Highest rate; it rises over the first tenth of the steps and falls along a cosine.
        weight_decay: Of AdamW; none on vectors.
        dropout: Of attention and token embeddings; the contrastive loss lives from it.
        next_token: Weight of next-token prediction.
        contrastive: Weight of the sentence loss.
        temperature: Of the softmax of the contrastive losses.
        anchor: Weight of the squared distance to the starting weights; keeps a pretrained tower near its start.
        neighbours: Weight of the loss that draws sentences which follow each other in a report together.
        anatomy: Share of the pairs of that loss that are names of structures which follow each other along the spine.
        spelled: Share of the levels ("L4-5") in the training reports that are spelled out as prompts do.
        moved: Share of the training reports whose levels are moved along the spine.
        held_out: Share of the reports that is kept back.
        seed: Of everything random.
    """

    model: str = "ViT-B-32"
    weights: str | None = "laion2b_s34b_b79k"
    epochs: int = 20
    patience: int = 5
    batch: int = 8
    learning_rate: float = 5e-5
    weight_decay: float = 0.05
    dropout: float = 0.1
    next_token: float = 1.0
    contrastive: float = 0.1
    temperature: float = 0.05
    anchor: float = 0.0
    neighbours: float = 0.3
    anatomy: float = 0.25
    spelled: float = 0.5
    moved: float = 0.5
    held_out: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        weights = (self.next_token, self.contrastive, self.neighbours)
        if min(weights) < 0 or sum(weights) == 0:
            raise UserError(
                "Expected weights of at least 0, one of them above, got next_token, contrastive and neighbours "
                f"{weights}."
            )
        if not 0 <= self.spelled <= 1 or not 0 <= self.moved <= 1 or not 0 <= self.anatomy < 1:
            raise UserError(
                f"Expected shares from 0 to 1, got spelled {self.spelled}, moved {self.moved}, anatomy {self.anatomy} "
                "(below 1)."
            )
        if not 0 <= self.dropout < 1 or not 0 < self.held_out < 1 or min(self.epochs, self.batch) < 1:
            raise UserError(
                f"Expected dropout in 0..1, held_out in 0..1, epochs and batch of at least 1, got {self.dropout}, "
                f"{self.held_out}, {self.epochs} and {self.batch}."
            )
