"""Which findings there are, and which structures each can be found at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunet_textguided.errors import UserError

_KEYS = {"term", "applies_to"}


@dataclass(frozen=True)
class FindingVocabulary:
    """The findings of a data set or model, in channel order.

    Attributes:
        structures: Structure names in channel order, without background.
        names: Finding names in channel order.
        terms: The words that stand for each finding in the prompts.
        applies_to: For each finding the structures it can be found at.
    """

    structures: tuple[str, ...]
    names: tuple[str, ...]
    terms: tuple[str, ...]
    applies_to: tuple[tuple[str, ...], ...]

    @classmethod
    def from_block(cls, findings: Mapping[str, Any], structures: Sequence[str]) -> FindingVocabulary:
        """Read the entry `findings` of a block `text_guidance`.

        Args:
            findings: Name -> `{"term": ..., "applies_to": [...]}`; the term may be left out, then it is the name.
            structures: Structure names in channel order.

        Raises:
            UserError: The entry is malformed, or a finding applies to no structure or to one that does not exist.
        """
        if not isinstance(findings, Mapping):
            raise UserError(f"dataset.json, text_guidance.findings: expected an object, got {str(findings)[:80]!r}.")
        for name, entry in findings.items():
            _check_entry(name, entry, structures)
        return cls(
            tuple(structures),
            tuple(findings),
            tuple(str(entry.get("term") or name) for name, entry in findings.items()),
            tuple(tuple(entry["applies_to"]) for entry in findings.values()),
        )

    def __len__(self) -> int:
        return len(self.names)

    def sites(self) -> list[tuple[str, str]]:
        """All decisions of a study: (structure, finding), grouped by finding."""
        return [(site, name) for name, sites in zip(self.names, self.applies_to, strict=True) for site in sites]

    def applicable(self) -> np.ndarray:
        """Return (structures, findings) bool: where a finding can be found."""
        table = np.zeros((len(self.structures), len(self.names)), dtype=bool)
        for column, sites in enumerate(self.applies_to):
            for site in sites:
                table[self.structures.index(site), column] = True
        return table


def _check_entry(name: str, entry: Any, structures: Sequence[str]) -> None:
    where = f"dataset.json, text_guidance.findings, {name!r}"
    if not isinstance(entry, Mapping) or "applies_to" not in entry or not set(entry) <= _KEYS:
        raise UserError(f'{where}: expected {{"term": ..., "applies_to": [structures]}}, got {str(entry)[:80]!r}.')
    if entry.get("term") is not None and not isinstance(entry["term"], str):
        raise UserError(f"{where}: term is a text, got {str(entry['term'])[:80]!r}.")
    if name in structures:
        raise UserError(f"{where}: is also the name of a structure; rename one of them.")
    sites = entry["applies_to"]
    if not isinstance(sites, list | tuple) or not sites or not all(isinstance(site, str) for site in sites):
        raise UserError(f"{where}: applies_to is a list of at least one structure, got {str(sites)[:80]!r}.")
    unknown = sorted(set(sites) - set(structures))
    if unknown:
        raise UserError(f"{where}: applies to {unknown}, which are not among the structures {list(structures)}.")
    if len(set(sites)) < len(sites):
        raise UserError(f"{where}: applies_to names a structure twice: {list(sites)}.")
