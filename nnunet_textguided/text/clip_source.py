"""Where an open_clip text tower comes from: its configuration, its weights file and its licence."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.text.checkpoint import WEIGHT_SUFFIXES
from nnunet_textguided.text.hub_files import fetch_hub_file, fetch_tag, hub_names

logger = logging.getLogger(__name__)

_LICENCES = {"laion/": "MIT", "facebook/metaclip": "CC BY-NC 4.0"}
"""What the model cards say of whole families; of all others the card itself is named."""


@dataclass(frozen=True)
class ClipSource:
    """All that is needed to build a text tower.

    Attributes:
        config: open_clip's model configuration (embed_dim, text_cfg, ...).
        weights_path: Local weights file.
        weights: What the user called the weights: a tag or a file name.
        licence: As far as known.
        tokenizer_name: Name for open_clip.get_tokenizer; None if only the configuration tells.
        pretraining: What `pretrain-text` notes in its configuration; None of all others.
    """

    config: dict[str, Any]
    weights_path: Path
    weights: str
    licence: str
    tokenizer_name: str | None
    pretraining: dict[str, Any] | None = None


def find_source(model: str, weights: str | None) -> ClipSource:
    """Find configuration and weights, downloading what is not there yet.

    Args:
        model: open_clip name, `hf-hub:NAME`, `local-dir:PATH` or the path of a JSON configuration.
        weights: Tag or file.

    Returns:
        The source.

    Raises:
        UserError: See `load_text_encoder`.
    """
    if model.startswith("local-dir:"):
        return _from_local_dir(model, weights)
    if model.startswith("hf-hub:"):
        return _from_hub(model, weights)
    if model.endswith(".json"):
        return _from_json(Path(model), weights)
    return _from_name(model, weights)


def check_name(model: str, weights: str | None) -> None:
    """Check an open_clip model name and its weights without fetching anything.

    Args:
        model: open_clip's name.
        weights: Tag of that model, or a file.

    Raises:
        UserError: Unknown model or tag (near misses are listed), no weights, or no such file.
    """
    import open_clip

    name = model.replace("/", "-")
    if open_clip.get_model_config(name) is None:
        raise UserError(
            f"Unknown text model {model!r}. {near_misses(model, [*open_clip.list_models(), 'random', 'one-hot'])} "
            "Known are open_clip's model names, hf-hub:NAME, local-dir:PATH, a JSON configuration, random, one-hot."
        )
    tags = open_clip.list_pretrained_tags_by_model(name)
    if not weights or weights == "none":
        known = ", ".join(tags) or "(it has no tags)"
        raise UserError(
            f"Text model {model!r} needs weights: --text-weights with a file or one of {known}. "
            "A tower with random weights is never used; the control for that is --text-model random."
        )
    if open_clip.get_pretrained_cfg(name, weights):
        return
    if not _looks_like_file(weights):
        raise UserError(
            f"Unknown weights {weights!r} for text model {model!r}: neither a file nor one of its tags. "
            f"{near_misses(weights, tags)} Its tags: {', '.join(tags) or 'none'}."
        )
    local_file(weights)


def _from_name(model: str, weights: str | None) -> ClipSource:
    import open_clip

    check_name(model, weights)
    weights = str(weights)
    name = model.replace("/", "-")
    config = open_clip.get_model_config(name)
    tag = open_clip.get_pretrained_cfg(name, weights)
    if not tag:
        return ClipSource(config, local_file(weights), Path(weights).name, "unknown (local file)", name)
    if tag.get("quick_gelu") and not config.get("quick_gelu"):
        logger.info("Weights %s were trained with QuickGELU; the text tower uses it.", weights)
        config["quick_gelu"] = True
    path = fetch_tag(tag, f"Weights {weights!r} of text model {model!r}")
    return ClipSource(config, path, weights, _licence(tag.get("hf_hub", "")), name)


def _from_json(path: Path, weights: str | None) -> ClipSource:
    if not weights:
        raise UserError(f"The text model {path} needs a weights file: --text-weights FILE.")
    noted = read_pretraining(path)
    licence = str((noted or {}).get("licence", "unknown (local file)"))
    return ClipSource(read_config(path), local_file(weights), Path(weights).name, licence, None, noted)


def _from_local_dir(model: str, weights: str | None) -> ClipSource:
    folder = Path(model.removeprefix("local-dir:"))
    if not folder.is_dir():
        raise UserError(f"Expected a folder at {folder} (from {model!r}), found none.")
    config = read_config(folder / "open_clip_config.json")
    inside = folder / weights if weights else _weights_in(folder)
    path = local_file(inside if inside.is_file() else str(weights))
    return ClipSource(config, path, path.name, "unknown (local folder)", model)


def _weights_in(folder: Path) -> Path:
    preferred = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors", "pytorch_model.bin")
    found = sorted(path for path in folder.iterdir() if path.suffix in WEIGHT_SUFFIXES)
    by_name = {path.name: path for path in found}
    for name in preferred:
        if name in by_name:
            return by_name[name]
    if len(found) != 1:
        raise UserError(
            f"Expected one weights file ({', '.join(WEIGHT_SUFFIXES)}) in {folder}, found "
            f"{[path.name for path in found]}. Name one with --text-weights."
        )
    return found[0]


def _from_hub(model: str, weights: str | None) -> ClipSource:
    repo = model.removeprefix("hf-hub:")
    if weights and not Path(weights).is_file():
        raise UserError(
            f"{model!r} brings its own weights: leave --text-weights {weights!r} out, or give a local file."
        )
    config = read_config(fetch_hub_file(repo, ("open_clip_config.json",), f"Configuration of text model {model!r}"))
    if weights:
        return ClipSource(config, local_file(weights), Path(weights).name, "unknown (local file)", model)
    path = fetch_hub_file(repo, hub_names(None), f"Weights of text model {model!r}")
    return ClipSource(config, path, path.name, _licence(repo), model)


def read_config(path: Path) -> dict[str, Any]:
    """Read an open_clip model configuration.

    Args:
        path: JSON file, either the configuration itself or an open_clip_config.json with "model_cfg".

    Returns:
        The configuration.

    Raises:
        UserError: Missing, not JSON, or without embed_dim and text_cfg.
    """
    from nnunet_textguided.files import load_json

    config = load_json(path)
    if isinstance(config, dict):
        config = config.get("model_cfg", config)
    if not isinstance(config, dict) or "embed_dim" not in config or not isinstance(config.get("text_cfg"), dict):
        raise UserError(f"{path} is no open_clip model configuration: expected the keys embed_dim and text_cfg.")
    return config


def read_pretraining(path: Path) -> dict[str, Any] | None:
    """What `pretrain-text` notes beside the configuration that it writes; None of other configurations.

    Args:
        path: JSON file.
    """
    from nnunet_textguided.files import load_json

    content = load_json(path)
    noted = content.get("provenance") if isinstance(content, dict) else None
    return noted if isinstance(noted, dict) else None


def local_file(path: str | os.PathLike[str]) -> Path:
    """Check that a weights file is there.

    Args:
        path: The file.

    Returns:
        The path.

    Raises:
        UserError: No such file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"Expected a weights file at {path}, found no file.")
    return path


def near_misses(name: str, known: Sequence[str]) -> str:
    """Word a suggestion.

    Args:
        name: What was typed.
        known: What exists.

    Returns:
        "Did you mean ...?" or an empty text.
    """
    by_lower = {item.lower(): item for item in known}
    close = [by_lower[item] for item in difflib.get_close_matches(name.lower(), by_lower, n=5, cutoff=0.5)]
    return f"Did you mean {', '.join(close)}?" if close else ""


def _looks_like_file(weights: str) -> bool:
    return Path(weights).is_file() or os.sep in weights or weights.endswith((*WEIGHT_SUFFIXES, ".npz"))


def _licence(repo: str) -> str:
    repo = repo.strip("/")
    if not repo:
        return "unknown"
    known = next((licence for prefix, licence in _LICENCES.items() if repo.startswith(prefix)), "see the model card")
    return f"{known} (https://huggingface.co/{repo})"
