"""Which structures the source of a case does not annotate: the entry `missing` of dataset.json's `text_guidance`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from nnunet_textguided.dataset_json import block_of


def declared_missing(dataset_json: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Read the entry.

    Args:
        dataset_json: nnU-Net's dataset.json, with or without the block text_guidance.

    Returns:
        Source -> names of the structures it does not annotate; the names are not checked.

    Raises:
        UserError: The block has another form.
    """
    missing = block_of(dataset_json).get("missing", {})
    return {source: frozenset(names) for source, names in missing.items()}


def not_annotated(case: str, missing: Mapping[str, Collection[str]]) -> frozenset[str]:
    """Return the structures the source of a case does not annotate.

    Args:
        case: Its name; it belongs to the source it begins with (spider_005 to spider), the longest of several.
        missing: Source -> names of structures.
    """
    sources = [source for source in missing if case == source or case.startswith(f"{source}_")]
    return frozenset(missing[max(sources, key=len)]) if sources else frozenset()
