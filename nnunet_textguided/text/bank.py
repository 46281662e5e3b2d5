"""The text bank: one vector a name, in a file that can be read without running anything."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path, file_sha256, parse_json, remove_leftovers
from nnunet_textguided.limits import TABLE_MB, check_size

FORMAT_VERSION = "1"
_TENSOR = "embeddings"
_METADATA_KEY = "text_bank"
_REMAKE = "Make it anew: nnunet_textguided embed -d ID -p PLANS --overwrite"


@dataclass(frozen=True, eq=False)
class TextBank:
    """Vectors of all names and how they came about.

    Attributes:
        embeddings: (N, D) float32, before conditioning.
        names: N names: structures in channel order, then findings.
        terms: What each name was called in the prompts.
        prompts: The texts that were encoded for each name.
        model: Text model.
        weights: Pretrained tag or file name; None for the controls.
        weights_sha256: Hash of the weights file; None for the controls.
        licence: Licence of the weights as far as known.
        command: Command line that made the bank.
        templates: Prompt templates.
        modality: What {modality} was replaced by.
        seed: Seed of the `random` control; None for all else.
        library: Library and version that made the vectors.
        pretraining: JSON of what `pretrain-text` noted about the text model; None of all others.
        format_version: Version of the file format.
    """

    embeddings: np.ndarray
    names: tuple[str, ...]
    terms: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]
    model: str
    weights: str | None = None
    weights_sha256: str | None = None
    licence: str | None = None
    command: str = ""
    templates: tuple[str, ...] = ()
    modality: str = ""
    seed: int | None = None
    library: str | None = None
    pretraining: str | None = None
    format_version: str = FORMAT_VERSION

    @property
    def embedding_dim(self) -> int:
        """Width D."""
        return int(self.embeddings.shape[1])


def save_bank(bank: TextBank, path: str | os.PathLike[str]) -> None:
    """Write a bank in one piece; the same bank gives the same bytes.

    Args:
        bank: What to write.
        path: A .safetensors file.

    Raises:
        UserError: The bank is not sound, or the file cannot be written.
    """
    _check_embeddings(bank.embeddings, path)
    _check_names(bank.names, bank.embeddings, path)
    metadata = {name: getattr(bank, name) for name in TextBank.__dataclass_fields__ if name != _TENSOR}
    # One metadata entry: safetensors does not promise an order of several, and plans keep a hash of the file.
    content = save(
        {_TENSOR: np.ascontiguousarray(bank.embeddings)}, metadata={_METADATA_KEY: json.dumps(metadata, sort_keys=True)}
    )
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    remove_leftovers(Path(path).parent)


def load_bank(path: str | os.PathLike[str]) -> TextBank:
    """Read and check a bank; nothing in the file is executed.

    Args:
        path: A file that `save_bank` or another program wrote (docs/text_bank.md).

    Returns:
        The bank.

    Raises:
        UserError: The file is missing, corrupt or truncated, or its content is not a sound bank.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"Expected a text bank at {path}, found no file. {_REMAKE.replace(' --overwrite', '')}")
    check_size(path, TABLE_MB)
    try:
        with safe_open(path, framework="np") as file:
            metadata = (file.metadata() or {}).get(_METADATA_KEY)
            embeddings = file.get_tensor(_TENSOR) if _TENSOR in file.keys() else None  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path} is not a complete safetensors file ({error}). {_REMAKE}") from error
    if embeddings is None or metadata is None:
        missing = f"tensor {_TENSOR!r}" if embeddings is None else f"metadata entry {_METADATA_KEY!r}"
        raise UserError(f"{path} has no {missing}, so it is no text bank. {_REMAKE}")
    _check_embeddings(embeddings, path)
    return _from_metadata(embeddings, metadata, path)


def _from_metadata(embeddings: np.ndarray, text: str, path: Path) -> TextBank:
    try:
        metadata: dict[str, Any] = dict(parse_json(text, path))
        version = str(metadata.get("format_version", FORMAT_VERSION))
        names = _texts(metadata["names"], "names")
        terms = _texts(metadata.get("terms", names), "terms")
        prompts = tuple(_texts(row, "prompts") for row in metadata.get("prompts", [[term] for term in terms]))
        templates = _texts(metadata.get("templates", ()), "templates")
        texts = {key: metadata.get(key) for key in ("weights", "weights_sha256", "licence", "library", "pretraining")}
        seed = metadata.get("seed")
        bank = TextBank(
            embeddings, names, terms, prompts, str(metadata.get("model", "unknown")),
            command=str(metadata.get("command", "")), templates=templates, modality=str(metadata.get("modality", "")),
            seed=None if seed is None else int(seed), format_version=version, **texts,
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: metadata of the text bank cannot be read ({error!r}). {_REMAKE}") from error
    if version != FORMAT_VERSION:
        raise UserError(f"{path} has bank format {version}; this version reads format {FORMAT_VERSION}. {_REMAKE}")
    _check_names(names, embeddings, path)
    for what, rows in (("terms", terms), ("prompts", prompts)):
        if len(rows) != len(names):
            raise UserError(f"{path}: expected {len(names)} {what}, one a name, got {len(rows)}. {_REMAKE}")
    return bank


def _texts(value: Any, what: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{what} must be a list of texts")
    return tuple(value)


def _check_embeddings(embeddings: np.ndarray, path: str | os.PathLike[str]) -> None:
    if embeddings.dtype != np.float32 or embeddings.ndim != 2 or 0 in embeddings.shape:
        raise UserError(
            f"{path}: expected embeddings of shape (N, D), float32; got {embeddings.shape}, {embeddings.dtype}."
        )
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if bad.size:
        raise UserError(f"{path}: NaN or infinite values in row {bad[0]} of the embeddings. {_REMAKE}")


def _check_names(names: Sequence[str], embeddings: np.ndarray, path: str | os.PathLike[str]) -> None:
    if len(names) != len(embeddings):
        raise UserError(f"{path}: {len(names)} names for {len(embeddings)} rows of embeddings. {_REMAKE}")
    duplicates = sorted(name for name, count in Counter(names).items() if count > 1)
    if duplicates:
        raise UserError(f"{path}: the name {duplicates[0]!r} stands there more than once. {_REMAKE}")


def check_bank(
    bank: TextBank,
    path: str | os.PathLike[str],
    names: Sequence[str],
    sha256: str | None = None,
    embedding_dim: int | None = None,
) -> None:
    """Refuse a bank that is not the one the plans speak of.

    Args:
        bank: The bank as loaded.
        path: Its file, for the hash and the messages.
        names: Names that the plans expect: structures in channel order, then findings.
        sha256: Hash of the file in the plans; None leaves it unchecked.
        embedding_dim: Width D in the plans; None leaves it unchecked.

    Raises:
        UserError: Names, order, width or hash differ; the text says which and what to do.
    """
    expected, found = list(names), list(bank.names)
    if sorted(expected) != sorted(found):
        missing = [name for name in expected if name not in found]
        extra = [name for name in found if name not in expected]
        raise UserError(
            f"Text bank {path} does not fit the plans: missing names {missing}, "
            f"names not in the plans {extra}. {_REMAKE}"
        )
    if expected != found:
        row = next(i for i, (a, b) in enumerate(zip(expected, found, strict=True)) if a != b)
        raise UserError(
            f"Text bank {path} has the names in another order than the plans: row {row} is {found[row]!r}, "
            f"expected {expected[row]!r}. {_REMAKE}"
        )
    if embedding_dim is not None and bank.embedding_dim != embedding_dim:
        raise UserError(
            f"Text bank {path} has vectors of width {bank.embedding_dim} (model {bank.model}), the plans expect "
            f"{embedding_dim}. Put the right file back, or {_REMAKE[0].lower()}{_REMAKE[1:]}"
        )
    if sha256 is not None and (actual := file_sha256(path)) != sha256:
        raise UserError(
            f"Text bank {path} is not the file that the plans name: sha256 {actual[:12]}..., "
            f"expected {sha256[:12]}.... Put the right file back, or {_REMAKE[0].lower()}{_REMAKE[1:]}"
        )
