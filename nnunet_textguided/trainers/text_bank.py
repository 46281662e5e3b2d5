"""The bank of a data set: found and checked, or made."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import file_sha256
from nnunet_textguided.text.bank import TextBank, check_bank, load_bank, save_bank
from nnunet_textguided.text.embed import make_bank
from nnunet_textguided.text.prompts import modality_from_channel_names
from nnunet_textguided.trainers.guidance import TextGuidance

log = logging.getLogger(__name__)


def bank_file_name(plans_identifier: str) -> str:
    """Name of the bank beside the plans."""
    return f"{plans_identifier}_text_bank.safetensors"


def channel_names(dataset_json: Mapping[str, Any]) -> Mapping[str, str]:
    """nnU-Net's `channel_names`, under its older name too."""
    return dataset_json.get("channel_names") or dataset_json.get("modality") or {}


def ensure_bank(
    guidance: TextGuidance,
    folder: Path,
    plans_identifier: str,
    dataset_json: Mapping[str, Any],
    overwrite: bool = False,
) -> tuple[TextBank, TextGuidance]:
    """Load the bank that belongs to the plans, or make and save it.

    Args:
        guidance: The plans' block.
        folder: `nnUNet_preprocessed/DatasetXXX_Name`.
        plans_identifier: Name of the plans, part of the file name.
        dataset_json: For the modality in the prompts.
        overwrite: Make it anew although it exists.

    Returns:
        The bank, and the block with `bank` filled in.

    Raises:
        UserError: The bank on disk differs from the plans, or the text model cannot be had.
    """
    path = folder / (guidance.bank["file"] if guidance.bank else bank_file_name(plans_identifier))
    names = [*guidance.names, *guidance.findings]
    expected = {} if overwrite or not guidance.bank else guidance.bank
    if overwrite or not path.is_file():
        bank = make_bank(
            guidance.names,
            [guidance.terms[name] for name in guidance.names],
            {name: finding["term"] for name, finding in guidance.findings.items()},
            modality_from_channel_names(channel_names(dataset_json)),
            guidance.text_model,
            guidance.text_weights,
            templates=guidance.templates,
            seed=guidance.seed or 0,
            command=f"nnunet_textguided embed -d {folder.name} -p {plans_identifier}",
        )
        save_bank(bank, path)
        log.info("Wrote the text bank %s (%d names, %d wide)", path, *bank.embeddings.shape)
    bank = load_bank(path)
    check_bank(bank, path, names, sha256=expected.get("sha256"), embedding_dim=expected.get("embedding_dim"))
    _check_origin(bank, path, guidance)
    entry = {"file": path.name, "sha256": file_sha256(path), "embedding_dim": int(bank.embeddings.shape[1])}
    return bank, replace(guidance, bank=entry)


def _check_origin(bank: TextBank, path: Path, guidance: TextGuidance) -> None:
    """A bank of another text model must not slip in under the same file name."""
    made_from = (bank.model, bank.weights)
    weights = guidance.text_weights
    if weights is not None and Path(weights).suffix:
        weights = Path(weights).name  # of files the bank keeps the name and the hash, not the place
    wanted = (guidance.text_model, bank.weights if weights is None else weights)
    if made_from != wanted:
        raise UserError(
            f"{path} was made from text model {made_from}, the plans say {wanted}. Make it anew with "
            "nnunet_textguided embed -d DATASET_ID -p PLANS --overwrite, or name the plans differently."
        )
