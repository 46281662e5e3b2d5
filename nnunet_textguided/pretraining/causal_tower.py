"""An open_clip text tower with access to what it thinks at every token."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from nnunet_textguided.errors import UserError


class CausalTower(nn.Module):
    """A CLIP text tower as a language model: its read-out is its own token embedding.

    CLIP's tower attends to earlier tokens only, so the state at a token can tell the next. open_clip's has no dropout;
    it is set here on attention and token embeddings, which adds no key to the state dict.

    Args:
        clip: open_clip model (CLIP or CustomTextCLIP).
        dropout: Of attention weights and of embeddings.

    Raises:
        UserError: A tower that does not attend causally, such as a Hugging Face one.
    """

    def __init__(self, clip: nn.Module, dropout: float) -> None:
        super().__init__()
        self.clip = clip
        text = getattr(clip, "text", clip)
        needed = ("token_embedding", "positional_embedding", "transformer", "ln_final", "attn_mask")
        if any(getattr(text, name, None) is None for name in needed):
            raise UserError(
                "Reports can be learned by CLIP's own text towers only (causal attention, tokens of the same width as "
                "the tower); choose another --text-model, such as ViT-B-32."
            )
        self.dropout = dropout
        for module in text.modules():
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = dropout

    @property
    def text(self) -> Any:
        """The part of open_clip's model that reads text."""
        return getattr(self.clip, "text", self.clip)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.text.token_embedding.weight.device

    @property
    def context_length(self) -> int:
        """Tokens it reads, start and end included."""
        return int(self.text.context_length)

    def forward(self, tokens: torch.Tensor, end_of_text: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Read texts.

        Args:
            tokens: (B, L), L = `context_length`.
            end_of_text: Id of the end.

        Returns:
            States (B, L', width) up to the longest text's end, and embeddings (B, D) of the texts, as
            `encode_text` gives them.
        """
        length = int((tokens == end_of_text).int().argmax(1).max()) + 1  # what follows never matters to a causal tower
        tokens = tokens[:, :length]
        text = self.text
        x = F.dropout(text.token_embedding(tokens), self.dropout, self.training)
        x = x + text.positional_embedding[:length]
        states = text.ln_final(text.transformer(x, attn_mask=text.attn_mask[:length, :length]))
        ends = (tokens == end_of_text).int().argmax(1)
        pooled = states[torch.arange(len(tokens), device=tokens.device), ends]
        projection = text.text_projection
        if projection is None:
            return states, pooled
        return states, projection(pooled) if isinstance(projection, nn.Linear) else pooled @ projection

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """Score the next token, (..., width) -> (..., V).

        Args:
            states: Of `forward`.
        """
        return states @ self.text.token_embedding.weight.T
