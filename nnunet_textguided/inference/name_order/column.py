"""Which label codes are the vertebrae and discs of a column, and at which level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.text.spine_parts import CANAL, COLUMN, DISCS, single_labels, spine_parts

FEWEST = 3
"""Discs a column is counted by, at least; fewer are as likely to be put wrong as right."""
LEVELS = len(COLUMN)


@dataclass(frozen=True)
class Column:
    """The part of a label set that has an order.

    Attributes:
        vertebrae: Code -> level (`spine_parts.COLUMN`), the sacrum included.
        discs: Code -> level of the vertebra above.
    """

    vertebrae: Mapping[int, int]
    discs: Mapping[int, int]

    @classmethod
    def of_labels(cls, labels: Mapping[str, Any]) -> Column:
        """Read it off the names.

        Args:
            labels: Of dataset.json: name -> code.

        Raises:
            UserError: Fewer than three discs have a level, or the label set counts irregularly (L6, T13).
        """
        codes = {tuple(code) if isinstance(code, (list, tuple)) else code: name for name, code in labels.items()}
        single = {code: name for code, name in single_labels(codes).items() if code != 0}
        parts = {code: part for code, part in spine_parts(single).items() if part.group != CANAL}
        irregular = [part.name for part in parts.values() if part.level is None]
        if irregular:
            raise UserError(
                f"Names can be put in order in a regular column only; the labels hold {', '.join(irregular)}, above "
                "which every level counts differently."
            )
        discs = {code: part.level for code, part in parts.items() if part.group == DISCS and part.level is not None}
        if len(discs) < FEWEST:
            raise UserError(
                f"Names are put in order by the discs: expected labels of at least {FEWEST} discs such as L4/L5, got "
                f"{', '.join(single[code] for code in discs) or 'none'} among {', '.join(single.values()) or 'none'}."
            )
        others = {code: part.level for code, part in parts.items() if part.group != DISCS and part.level is not None}
        return cls(others, discs)

    def level_of_code(self, largest: int) -> np.ndarray:
        """Return the level of every code (largest + 1,), -1 for what is neither vertebra nor disc.

        Args:
            largest: Code that occurs.
        """
        known = {**self.vertebrae, **self.discs}
        table = np.full(max(largest, *known) + 1, -1)
        table[list(known)] = list(known.values())
        return table

    def vertebra_at(self) -> np.ndarray:
        """Return the code of the vertebra at every level (LEVELS,), 0 where there is no label."""
        return _code_at(self.vertebrae)

    def disc_at(self) -> np.ndarray:
        """Return the code of the disc below the vertebra of every level (LEVELS,), 0 where there is no label."""
        return _code_at(self.discs)


def _code_at(levels: Mapping[int, int]) -> np.ndarray:
    table = np.zeros(LEVELS, dtype=np.int64)
    table[list(levels.values())] = list(levels)
    return table
