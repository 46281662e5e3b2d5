"""Names -> terms -> prompts -> text encoder -> text bank."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.text.bank import TextBank
from nnunet_textguided.text.encoders import TextEncoder, load_text_encoder
from nnunet_textguided.text.prompts import DEFAULT_TEMPLATES, build_prompts

logger = logging.getLogger(__name__)


def make_bank(
    structures: Sequence[str],
    structure_terms: Mapping[str, str] | Sequence[str],
    findings: Mapping[str, str],
    modality: str,
    model: str,
    weights: str | None,
    templates: Sequence[str] = DEFAULT_TEMPLATES,
    seed: int = 0,
    command: str = "",
) -> TextBank:
    """Encode all names of a data set.

    A name's vector is the mean of its L2-normalised prompt vectors, normalised again (the prompt ensemble of
    Radford et al. 2021, CLIP, section 3.1.4); a control encodes the bare term.

    Args:
        structures: Label names in channel order, without background.
        structure_terms: Term of every structure: name -> term, or a list in the same order.
        findings: Finding name -> term; their rows follow those of the structures.
        modality: What the images are, for the prompts.
        model: See `load_text_encoder`.
        weights: See `load_text_encoder`.
        templates: Prompt templates.
        seed: For the `random` control.
        command: Command line to note in the bank.

    Returns:
        The bank: (structures + findings) rows.

    Raises:
        UserError: No names, duplicate names, a missing term, or whatever `load_text_encoder` finds.
    """
    names, terms = _names_and_terms(structures, structure_terms, findings)
    prompts = [build_prompts(term, modality, templates) for term in terms]
    encoder = load_text_encoder(model, weights, seed)
    if not encoder.uses_prompts:
        prompts = [[term] for term in terms]
    licence = encoder.provenance["licence"]
    logger.info("Text model %s, weights %s, licence: %s", model, encoder.provenance["weights"], licence)
    return TextBank(
        embeddings=encode_prompts(encoder, prompts),
        names=tuple(names),
        terms=tuple(terms),
        prompts=tuple(tuple(row) for row in prompts),
        model=str(encoder.provenance["model"]),
        weights=encoder.provenance["weights"],
        weights_sha256=encoder.provenance["weights_sha256"],
        licence=licence,
        command=command,
        templates=tuple(templates),
        modality=modality,
        seed=seed if encoder.provenance["model"] == "random" else None,
        library=encoder.provenance["library"],
        pretraining=encoder.provenance.get("pretraining"),
    )


def encode_prompts(encoder: TextEncoder, prompts: Sequence[Sequence[str]]) -> np.ndarray:
    """Average every name's prompts.

    Args:
        encoder: Any text encoder.
        prompts: N lists of at least one prompt each.

    Returns:
        (N, D) float32 of row norm 1.

    Raises:
        UserError: The encoder gave NaN, infinity or a zero vector.
    """
    vectors = encoder.encode([prompt for row in prompts for prompt in row]).astype(np.float64)
    ends = np.cumsum([len(row) for row in prompts])
    means = [_unit(group).mean(axis=0) for group in np.split(vectors, ends[:-1])]
    return _unit(np.stack(means)).astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or (norms < 1e-12).any():
        raise UserError("The text encoder gave NaN, infinity or a zero vector: its weights are broken. Use other ones.")
    return vectors / norms


def _names_and_terms(
    structures: Sequence[str], structure_terms: Mapping[str, str] | Sequence[str], findings: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    names = [*structures, *findings]
    if not structures:
        raise UserError("Expected at least one structure besides background in dataset.json's labels, got none.")
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise UserError(f"The name {duplicates[0]!r} is given to more than one structure or finding; rename one.")
    if isinstance(structure_terms, Mapping):
        missing = [name for name in structures if name not in structure_terms]
        if missing:
            raise UserError(f"No term for the structures {missing}: add them to text_guidance.terms in dataset.json.")
        terms = [structure_terms[name] for name in structures]
    else:
        terms = list(structure_terms)
        if len(terms) != len(structures):
            raise UserError(f"Expected {len(structures)} terms, one a structure, got {len(terms)}.")
    return names, [*terms, *findings.values()]
