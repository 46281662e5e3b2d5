"""What dataset.json says of a converted data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nnunet_textguided.dataset_conversion.base.geometry import CANONICAL_ORIENTATION
from nnunet_textguided.dataset_conversion.base.target import FILE_ENDING
from nnunet_textguided.findings.annotations import Annotation

BLOCK = "text_guidance"
"""Our entry of dataset.json."""


@dataclass(frozen=True)
class DatasetDescription:
    """What dataset.json says besides the number of cases.

    Attributes:
        name: Name of the source, in full.
        channel_names: One name a channel.
        labels: nnU-Net's `labels`.
        missing: Source (the case ids' prefix) to the structures it does not annotate.
        terms: Structure to the words of its prompt, where the built-in ones do not fit.
        reference: Where the data come from.
        licence: Under which terms.
        findings: The entry `findings` of the block `text_guidance`; empty where the source has none.
        annotate: Case to patient -> the findings of these cases; None = the cases bring theirs along.
    """

    name: str
    channel_names: tuple[str, ...]
    labels: dict[str, int]
    missing: dict[str, list[str]] = field(default_factory=dict)
    terms: dict[str, str] = field(default_factory=dict)
    reference: str = ""
    licence: str = ""
    findings: dict[str, Any] = field(default_factory=dict)
    annotate: Callable[[Mapping[str, str]], list[Annotation]] | None = None

    def dataset_json(self, num_training: int) -> dict[str, Any]:
        """Return the content of dataset.json.

        Args:
            num_training: Number of cases in imagesTr.
        """
        block: dict[str, Any] = {"orientation": CANONICAL_ORIENTATION, "missing": self.missing}
        if self.terms:
            block["terms"] = self.terms
        if self.findings:
            block["findings"] = self.findings
        return {
            "name": self.name,
            "reference": self.reference,
            "licence": self.licence,
            "channel_names": {str(index): name for index, name in enumerate(self.channel_names)},
            "labels": self.labels,
            "numTraining": num_training,
            "file_ending": FILE_ENDING,
            BLOCK: block,
        }
