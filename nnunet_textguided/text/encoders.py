"""The one door to every text encoder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from nnunet_textguided.text.controls import OneHotEncoder, RandomEncoder

logger = logging.getLogger(__name__)

CONTROLS: tuple[str, ...] = ("random", "one-hot")
"""Names of the encoders that need no weights."""


class TextEncoder(Protocol):
    """What a bank is made with.

    `provenance` holds model, weights, weights_sha256, licence, library and, of towers pretrained on reports,
    pretraining; `uses_prompts` says whether prompts are averaged (True) or each term gives one vector (controls).
    """

    provenance: dict[str, str | None]
    uses_prompts: bool
    embedding_dim: int

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Turn N texts into (N, D) float32."""
        ...


def is_control(model: str) -> bool:
    """Whether a model name is one of the controls.

    Args:
        model: Name as typed after --text-model.

    Returns:
        True for "random" and "one-hot" (also "onehot", "one_hot").
    """
    return _control_name(model) in CONTROLS


def load_text_encoder(model: str, weights: str | None = None, seed: int = 0) -> TextEncoder:
    """Load a text encoder, only its text tower, on the CPU and in fp32.

    Args:
        model: An open_clip model name, `hf-hub:NAME`, `local-dir:PATH`, the path of an open_clip JSON config, or one
            of the controls `random` and `one-hot`.
        weights: A pretrained tag of that model or the path of a .pt, .bin, .pth or .safetensors file. `hf-hub:` and
            `local-dir:` bring their own; the controls have none.
        seed: For `random` only.

    Returns:
        The encoder.

    Raises:
        UserError: Unknown model or tag (near misses are listed), or a weights file that is missing, corrupt or does
            not fill the text tower. `WeightsUnreachableError` if the hub cannot be reached.
    """
    name = _control_name(model)
    if name in CONTROLS:
        if weights:
            logger.info("The control %r has no weights; %r is not used.", name, weights)
        return RandomEncoder(seed) if name == "random" else OneHotEncoder()
    from nnunet_textguided.text.clip_encoder import load_clip_encoder

    return load_clip_encoder(model, weights)


def _control_name(model: str) -> str:
    name = model.strip().lower().replace("_", "-")
    return "one-hot" if name == "onehot" else name
