"""From label names to the anatomical terms that a text encoder reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nnunet_textguided.errors import UserError
from nnunet_textguided.spine import SPINE_STRUCTURES
from nnunet_textguided.text.spine_names import REGIONS, canonical_name, disc_pairs, is_ambiguous

__all__ = ["SPINE_TERMS", "canonical_name", "term_for", "terms_for"]

_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh"),
    *("eighth", "ninth", "tenth", "eleventh", "twelfth", "thirteenth"),
)
_FIRST_SACRAL = "first sacral vertebra"


def _vertebra_term(name: str) -> str:
    return f"{_ORDINALS[int(name[1:]) - 1]} {REGIONS[name[0]][0]} vertebra"


def _disc_term(upper: str, lower: str) -> str:
    if lower == "S":
        return f"intervertebral disc between the {_vertebra_term(upper)} and the sacrum"
    if upper[0] != lower[0]:
        return f"intervertebral disc between the {_vertebra_term(upper)} and the {_vertebra_term(lower)}"
    first, second = (_ORDINALS[int(name[1:]) - 1] for name in (upper, lower))
    return f"intervertebral disc between the {first} and {second} {REGIONS[upper[0]][0]} vertebrae"


def _build_terms() -> dict[str, str]:
    vertebrae = {
        f"{letter}{number}": _vertebra_term(f"{letter}{number}")
        for letter, (_, last) in REGIONS.items()
        for number in range(1, last + 1)
    }
    whole = vertebrae | {"S": "sacrum"}
    discs = {f"{upper}/{lower}": _disc_term(upper, lower) for upper, lower in disc_pairs()}
    partial = {f"partial {name}": f"partially visible {term}" for name, term in whole.items()}
    terms = whole | discs | {"canal": "spinal canal"} | partial
    return {name: terms[name] for name in SPINE_STRUCTURES} | terms


SPINE_TERMS: dict[str, str] = _build_terms()
"""Canonical name -> term: the 19 structures first, then every other level from C1 to L6, canal and partial forms."""


def _override(label: str, overrides: Mapping[str, str] | None) -> str | None:
    if not overrides or label not in overrides:
        return None
    term = overrides[label]
    if not isinstance(term, str) or not term.strip():
        raise UserError(
            f"dataset.json, text_guidance.terms: expected a non-empty text for {label!r}, got {term!r}. "
            "Write what the structure is called, or remove the entry."
        )
    return term.strip()


def _plain(label: str) -> str:
    return " ".join(label.replace("_", " ").split()) or label


def term_for(label: str, overrides: Mapping[str, str] | None = None) -> str:
    """Term for one label that is taken for a spine name wherever it can be read as one ("S" is the sacrum).

    For the labels of a data set use `terms_for`, which looks at them together.

    Args:
        label: Label name as in dataset.json.
        overrides: `text_guidance.terms` of dataset.json; these win.

    Returns:
        The override, else the glossary's term, else the label with blanks for underscores.

    Raises:
        UserError: The override is not a text.
    """
    term = _override(label, overrides)
    name = canonical_name(label) if term is None else None
    return term or (SPINE_TERMS[name] if name else _plain(label))


def terms_for(labels: Sequence[str], overrides: Mapping[str, str] | None = None) -> list[str]:
    """Terms for all labels of a data set (without background).

    A name that can mean something else ("S", "T1", "canal", see `is_ambiguous`) is read as a spine name only if at
    least one label of the set is one beyond doubt ("L5", "T12/L1", "vertebrae_C2", "sacrum"). Where a set names both
    the sacrum and "S1", the latter is its first segment.

    Args:
        labels: Label names in channel order.
        overrides: `text_guidance.terms` of dataset.json; these win.

    Returns:
        One term a label, in the same order.

    Raises:
        UserError: Two labels have the same term, so that no text could tell them apart; both are named.
    """
    names = [canonical_name(label) for label in labels]
    is_spine = any(name is not None and not is_ambiguous(label) for label, name in zip(labels, names, strict=True))
    two_sacra = names.count("S") > 1
    terms = []
    for label, name in zip(labels, names, strict=True):
        term = _override(label, overrides)
        if term is None and name is not None and (is_spine or not is_ambiguous(label)):
            term = _FIRST_SACRAL if two_sacra and name == "S" and "1" in label else SPINE_TERMS[name]
        terms.append(term if term is not None else _plain(label))
    _refuse_equal_terms(labels, terms)
    return terms


def _refuse_equal_terms(labels: Sequence[str], terms: Sequence[str]) -> None:
    first_label: dict[str, str] = {}
    for label, term in zip(labels, terms, strict=True):
        key = term.casefold()
        if key in first_label:
            raise UserError(
                f"The labels {first_label[key]!r} and {label!r} both mean {term!r}; text cannot tell them apart. Merge "
                "them, or give each its own term under text_guidance.terms in dataset.json."
            )
        first_label[key] = label
