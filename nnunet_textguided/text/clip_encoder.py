"""Text towers of open_clip."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import file_sha256
from nnunet_textguided.text.checkpoint import load_text_tower, read_state_dict
from nnunet_textguided.text.clip_source import ClipSource, find_source
from nnunet_textguided.text.hub_files import fetch_hub_file

if TYPE_CHECKING:
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

SMALLEST_VISION = {"image_size": 32, "patch_size": 32, "width": 64, "head_width": 64, "layers": 1}
"""open_clip builds both towers; this one stands in for the vision tower until it is dropped."""


class Tower(NamedTuple):
    """An open_clip model with the weights of its text tower.

    Attributes:
        clip: The model; its vision tower is a stand-in with random weights.
        tokenizer: Texts -> (N, context_length) token ids.
        config: open_clip's configuration.
        source: Where it came from; None for random weights.
    """

    clip: nn.Module
    tokenizer: Callable[[Sequence[str]], Tensor]
    config: dict[str, Any]
    source: ClipSource | None = None


class ClipTextEncoder:
    """A text tower of open_clip on the CPU.

    Args:
        tower: open_clip model with weights, without vision tower.
        tokenizer: Texts -> (N, context_length) token ids.
        provenance: See `TextEncoder`.
        embedding_dim: Width D of the vectors.
        vocab_size: Number of token ids that the tower knows.
    """

    uses_prompts = True

    def __init__(
        self,
        tower: Any,
        tokenizer: Callable[[Sequence[str]], Tensor],
        provenance: dict[str, str | None],
        embedding_dim: int,
        vocab_size: int,
    ) -> None:
        self.tower = tower
        self.tokenizer = tokenizer
        self.provenance = provenance
        self.embedding_dim = embedding_dim
        self.vocab_size = vocab_size

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Encode texts as the tower gives them, not normalised.

        Args:
            texts: N texts.
            batch_size: Texts at a time.

        Returns:
            (N, D) float32.

        Raises:
            UserError: The tokenizer does not fit the tower.
        """
        import torch

        vectors = [np.empty((0, self.embedding_dim), dtype=np.float32)]
        for start in range(0, len(texts), batch_size):
            tokens = self.tokenizer(list(texts[start : start + batch_size]))
            if int(tokens.max()) >= self.vocab_size:
                raise UserError(
                    f"The tokenizer of text model {self.provenance['model']!r} gives token {int(tokens.max())}, but "
                    f"its tower knows {self.vocab_size}: vocab_size and tokenizer in its configuration do not fit."
                )
            with torch.inference_mode():
                vectors.append(self.tower.encode_text(tokens).float().numpy())
        return np.concatenate(vectors)


def load_clip_encoder(model: str, weights: str | None) -> ClipTextEncoder:
    """Load an open_clip text tower.

    Args:
        model: See `load_text_encoder`.
        weights: See `load_text_encoder`.

    Returns:
        The encoder.

    Raises:
        UserError: See `load_text_encoder`.
    """
    import open_clip

    source = find_source(model, weights)
    tower: Any
    tower, tokenizer, *_ = load_tower(source, model)
    tower.visual = None
    if hasattr(tower, "text_decoder"):
        tower.text_decoder = None
    provenance: dict[str, str | None] = {
        "model": model,
        "weights": source.weights,
        "weights_sha256": file_sha256(source.weights_path),
        "licence": source.licence,
        "library": f"open_clip_torch {open_clip.__version__}",
        "pretraining": None if source.pretraining is None else json.dumps(source.pretraining, sort_keys=True),
    }
    vocab_size = int(getattr(tower, "vocab_size", None) or tower.text.vocab_size)
    return ClipTextEncoder(tower.eval(), tokenizer, provenance, int(source.config["embed_dim"]), vocab_size)


def load_tower(source: ClipSource, model: str) -> Tower:
    """Load an open_clip model with the weights of its text tower.

    Args:
        source: Where it comes from, see `find_source`.
        model: See `load_text_encoder`.

    Raises:
        UserError: See `load_text_encoder`.
    """
    clip = build_clip(source.config, model)
    tokenizer = _tokenizer(source, model)
    load_text_tower(clip, read_state_dict(source.weights_path), source.weights_path)
    return Tower(clip, tokenizer, source.config, source)


def new_tower(config: dict[str, Any], name: str) -> Tower:
    """Build a tower with random weights that reads CLIP's tokens.

    Args:
        config: open_clip's configuration.
        name: What the user called it.

    Raises:
        UserError: open_clip cannot build it.
    """
    import open_clip

    tokenizer = open_clip.SimpleTokenizer(context_length=int(config["text_cfg"].get("context_length", 77)))
    return Tower(build_clip(config, name), tokenizer, config)


def build_clip(config: dict[str, Any], model: str) -> nn.Module:
    """Build an open_clip model with random weights and the smallest vision tower.

    Args:
        config: open_clip's configuration.
        model: What the user called it.

    Raises:
        UserError: open_clip cannot build it.
    """
    import open_clip

    config = deepcopy(config)
    config["vision_cfg"] = dict(SMALLEST_VISION)
    text = config["text_cfg"]
    hugging_face_tower = text.get("hf_model_name")
    if hugging_face_tower:
        # The weights come from the checkpoint; only the shape is read from the hub.
        text["hf_model_pretrained"] = False
        _require_transformers(model)
        fetch_hub_file(hugging_face_tower, ("config.json",), f"Configuration {hugging_face_tower!r} of {model!r}")
    custom = config.pop("custom_text", False) or bool(hugging_face_tower)
    if not custom:
        model_class = open_clip.CLIP
    else:
        model_class = open_clip.CoCa if "multimodal_cfg" in config else open_clip.CustomTextCLIP
    try:
        return model_class(**config)
    except (TypeError, ValueError, AssertionError, RuntimeError, ZeroDivisionError) as error:
        raise UserError(f"The configuration of text model {model!r} cannot be built by open_clip: {error}") from error


def _tokenizer(source: ClipSource, model: str) -> Callable[[Sequence[str]], Tensor]:
    import open_clip

    text = source.config["text_cfg"]
    name = text.get("hf_tokenizer_name")
    if name:
        _require_transformers(model)
        if not model.startswith("local-dir:"):
            fetch_hub_file(name, ("tokenizer.json", "tokenizer_config.json"), f"Tokenizer {name!r} of {model!r}")
    try:
        if source.tokenizer_name is not None:
            return open_clip.get_tokenizer(source.tokenizer_name)
        # A configuration file of the user's own is not in open_clip's list, so build what the list would give.
        context_length = int(text.get("context_length", 77))
        options = text.get("tokenizer_kwargs", {})
        if name:
            return open_clip.tokenizer.HFTokenizer(name, context_length=context_length, **options)
        return open_clip.SimpleTokenizer(context_length=context_length, **options)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise UserError(f"The tokenizer of text model {model!r} cannot be loaded: {error}") from error


def _require_transformers(model: str) -> None:
    from importlib.util import find_spec

    if find_spec("transformers") is None:
        raise UserError(f"Text model {model!r} uses a Hugging Face tower or tokenizer: pip install transformers.")
