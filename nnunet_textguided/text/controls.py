"""Text encoders that know no language: the controls `random` and `one-hot`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from nnunet_textguided.errors import UserError

CONTROL_DIM = 512
"""Width D of the controls, that of ViT-B-32, so that a control differs from the real bank in nothing but the text."""


class RandomEncoder:
    """Seeded Gaussian directions: a vector depends on the text and the seed alone, not on its neighbours or order.

    Args:
        seed: Another seed gives other vectors.
    """

    uses_prompts = False

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.embedding_dim = CONTROL_DIM
        self.provenance: dict[str, str | None] = _no_weights("random")

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Draw one unit vector a text.

        Args:
            texts: N texts.

        Returns:
            (N, 512) float32 of row norm 1.
        """
        rows = np.empty((len(texts), CONTROL_DIM))
        for row, text in zip(rows, texts, strict=True):
            digest = hashlib.sha256(f"{self.seed}:{text}".encode()).digest()
            # RandomState, because numpy promises its stream never changes (default_rng may).
            row[:] = np.random.RandomState(np.frombuffer(digest, dtype="<u4")).standard_normal(CONTROL_DIM)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class OneHotEncoder:
    """Row i is hot at i: all names equally far apart, no anatomy at all."""

    uses_prompts = False

    def __init__(self) -> None:
        self.embedding_dim = CONTROL_DIM
        self.provenance: dict[str, str | None] = _no_weights("one-hot")

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Number the texts.

        Args:
            texts: All N texts at once, because the position is what counts.

        Returns:
            (N, 512) float32.

        Raises:
            UserError: More than 512 texts.
        """
        if len(texts) > CONTROL_DIM:
            raise UserError(
                f"The one-hot control has room for {CONTROL_DIM} names, got {len(texts)}. Use --text-model random."
            )
        return np.eye(len(texts), CONTROL_DIM, dtype=np.float32)


def _no_weights(model: str) -> dict[str, str | None]:
    return {
        "model": model,
        "weights": None,
        "weights_sha256": None,
        "licence": "none needed (no weights)",
        "library": f"numpy {np.__version__}",
    }
