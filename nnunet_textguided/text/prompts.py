"""Prompt templates and the name of the imaging modality."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import Formatter

from nnunet_textguided.errors import UserError

DEFAULT_TEMPLATES: tuple[str, ...] = (
    "{term}",
    "the {term} on {modality}",
    "{modality} of the {term}",
    "{modality} showing the {term}",
    "the {term} in a sagittal {modality}",
    "segmentation of the {term} on {modality}",
)
"""Averaged over; worded without an article before {modality}, which may start with a vowel sound ("MRI")."""

FALLBACK_MODALITY = "medical image"

_MODALITIES: tuple[tuple[str, str], ...] = (
    (r"t1.*", "T1"),
    (r"t2.*", "T2"),
    (r"pdw?|proton.?density", "PD"),
    (r"flair.*", "FLAIR"),
    (r"(dwi|adc).*", "diffusion"),
    (r"(mri?|mr.?imaging)([ _\-].*)?", "MRI"),
    (r"(cb)?ct([ _\-].*)?", "CT"),
    (r"pet([ _\-].*)?|suv", "PET"),
    (r"us|ultrasound.*", "ultrasound"),
    (r"x.?ray.*|radiograph.*|dx", "X-ray"),
)
_WEIGHTED = ("T1", "T2", "PD", "diffusion")


def _kind(channel: str) -> str | None:
    text = channel.strip().lower()
    return next((kind for pattern, kind in _MODALITIES if re.fullmatch(pattern, text)), None)


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def modality_from_channel_names(channel_names: Mapping[str, str]) -> str:
    """Name the modality from dataset.json's `channel_names`.

    Args:
        channel_names: Channel index -> name, for example {"0": "T1", "1": "T2"}.

    Returns:
        "T1- and T2-weighted MRI", "CT", "MRI", "CT and PET", ... in channel order; "medical image" if any channel is
        unknown (nnU-Net also allows names such as "noNorm", which only choose a normalisation).
    """
    kinds = list(dict.fromkeys(_kind(str(name)) for name in channel_names.values()))
    if not kinds or None in kinds:
        return FALLBACK_MODALITY
    weighted = [f"{kind}-" for kind in kinds if kind in _WEIGHTED]
    parts = []
    if weighted:
        parts.append(_join(weighted) + "weighted MRI")
    if "FLAIR" in kinds:
        parts.append("FLAIR MRI")
    if "MRI" in kinds and not parts:
        parts.append("MRI")
    parts += [kind for kind in kinds if kind in ("CT", "PET", "ultrasound", "X-ray")]
    return _join(parts)


def _check_template(template: str) -> None:
    try:
        fields = [field for _, field, _, _ in Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise UserError(
            f"Prompt template {template!r} cannot be read: {error}. Write it like 'the {{term}}'."
        ) from error
    if "term" not in fields:
        raise UserError(f"Prompt template {template!r} has no {{term}}: all classes would get the same text.")
    unknown = sorted(set(fields) - {"term", "modality"})
    if unknown:
        raise UserError(f"Prompt template {template!r} has {{{unknown[0]}}}; only {{term}} and {{modality}} are known.")


def build_prompts(term: str, modality: str, templates: Sequence[str] = DEFAULT_TEMPLATES) -> list[str]:
    """Fill the templates.

    Args:
        term: What the class is called, for example "fourth lumbar vertebra".
        modality: What the images are, for example "T2-weighted MRI".
        templates: Texts that hold {term} and may hold {modality}.

    Returns:
        One prompt a template.

    Raises:
        UserError: No template, or one without {term} or with an unknown field.
    """
    if isinstance(templates, str):
        raise UserError(f"Expected a list of prompt templates, got the single text {templates!r}.")
    if not templates:
        raise UserError("Expected at least one prompt template, got none.")
    for template in templates:
        _check_template(template)
    return [template.format(term=term, modality=modality) for template in templates]
