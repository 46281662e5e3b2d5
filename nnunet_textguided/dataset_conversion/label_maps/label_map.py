"""What the label codes of one tool or data set mean, in the names of the shared spine label set."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from nnunet_textguided.spine import SPINE_STRUCTURES

TRANSITIONAL: tuple[str, ...] = (
    *("L6", "L7", "T13"),
    *("L5/L6", "L6/S", "L6/L7", "L7/S", "L4/S"),
    *("T12/T13", "T13/L1", "T11/L1"),
)
"""Structures of spines that do not have twelve thoracic and five lumbar vertebrae; none is among the shared 19."""


@dataclass(frozen=True)
class Variant:
    """Codes that mean something else in a spine with another number of vertebrae.

    Attributes:
        present: Structures that the mask must hold for this to apply.
        absent: Structures that it must not hold.
        codes: Code to the structure it then is.
    """

    present: tuple[str, ...]
    codes: Mapping[int, str]
    absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelMap:
    """The label codes of a source, 0 (background) left out.

    Attributes:
        name: As users type it.
        codes: Code to structure: one of the 19, `canal`, one of TRANSITIONAL. Where several codes are one structure,
            the first is the one that is written in the other direction.
        background: Code to what it is, for everything the source labels that is not among our structures.
        variants: What changes in transitional anatomy.
        licence: Terms of the data or of the tool.
        hint: What to tell a user whose mask has other codes or none of our structures.
    """

    name: str
    codes: Mapping[int, str]
    background: Mapping[int, str] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    licence: str = ""
    hint: str = ""

    @property
    def missing(self) -> tuple[str, ...]:
        """The structures among the 19 that this source never annotates."""
        return tuple(name for name in SPINE_STRUCTURES if name not in self.codes.values())

    @property
    def transitional(self) -> tuple[str, ...]:
        """The transitional structures that this source can hold, always in the same order."""
        return tuple(name for name in TRANSITIONAL if name in self.written_codes())

    def names_in(self, present: Collection[int]) -> dict[int, str]:
        """Return code to structure as it is in one mask.

        Args:
            present: The codes that the mask holds; they tell whether a variant applies.
        """
        found = {self.codes[code] for code in present if code in self.codes}
        names = dict(self.codes)
        for variant in self.variants:
            if found.issuperset(variant.present) and found.isdisjoint(variant.absent):
                names.update(variant.codes)
        return names

    def written_codes(self) -> dict[str, int]:
        """Return structure to the code it is written as."""
        written: dict[str, int] = {}
        for codes in (self.codes, *(variant.codes for variant in self.variants)):
            for code, name in codes.items():
                written.setdefault(name, code)
        return written
