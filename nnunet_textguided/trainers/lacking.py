"""What the masks of a data set hold, and which classes the mask of a case leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from nnunet_textguided.errors import UserError
from nnunet_textguided.sources import declared_missing, not_annotated


def mask_content(properties: Mapping[str, Any], has_ignore_label: bool = True) -> frozenset[int] | None:
    """Read which classes the mask of a preprocessed case holds.

    Args:
        properties: nnU-Net's, of the case; `class_locations` has no entry for the ignore label.
        has_ignore_label: Whether the data set has one. Then nnU-Net also samples all annotated voxels together.

    Returns:
        Label codes without background; None where no voxel is annotated: the case has no mask.
    """
    locations = properties["class_locations"]
    if has_ignore_label and not any(len(voxels) for voxels in locations.values()):
        return None
    return frozenset(int(key) for key, voxels in locations.items() if not isinstance(key, tuple) and len(voxels))


class LackingClasses:
    """Tells which classes the mask of a case leaves out, so that they hide in its background.

    That is what its source does not annotate, as far as other training cases show it. A class that no training case
    shows is background to every case: nothing else would keep the network from predicting it anywhere.

    Args:
        declared: Source -> names of the structures it does not annotate.
        codes: Name -> label code.

    Attributes:
        learned: Codes that at least one training case shows; empty until the data sets are made.
    """

    def __init__(self, declared: Mapping[str, frozenset[str]], codes: Mapping[str, int]) -> None:
        self.declared = dict(declared)
        self.codes = dict(codes)
        self.learned: frozenset[int] = frozenset()

    @classmethod
    def of_dataset(cls, dataset_json: Mapping[str, Any]) -> LackingClasses:
        """Read dataset.json.

        Raises:
            UserError: It declares structures as missing that it does not have, or labels are regions.
        """
        declared = declared_missing(dataset_json)
        if not declared:
            return cls({}, {})
        labels = {n: v for n, v in dataset_json["labels"].items() if n not in ("background", "ignore")}
        unknown = sorted(set().union(*declared.values()) - set(labels))
        if unknown:
            raise UserError(
                f"dataset.json, text_guidance.missing: {unknown} are not among its labels {sorted(labels)}. Correct "
                "the spelling there."
            )
        if any(isinstance(value, (list, tuple)) for value in labels.values()):
            raise UserError(
                "dataset.json, text_guidance.missing: what a source does not annotate cannot be told apart from "
                "background where labels are regions. Give each structure its own label, or remove the entry."
            )
        return cls(declared, {name: int(value) for name, value in labels.items()})

    def of_case(self, case: str) -> frozenset[int]:
        """Label codes that the mask of a case leaves out."""
        return frozenset(self.codes[name] for name in not_annotated(case, self.declared)) & self.learned

    def of_batch(self, cases: Sequence[str], num_classes: int) -> torch.Tensor:
        """The same for the samples of a batch, (B, C) bool.

        Args:
            cases: One a sample.
            num_classes: Number C of classes with background, which comes first.
        """
        table = torch.zeros(len(cases), num_classes, dtype=torch.bool)
        for row, case in enumerate(cases):
            table[row, list(self.of_case(str(case)))] = True
        return table

    def check(self, case: str, content: Iterable[int]) -> None:
        """Make sure that a mask leaves out what its source is declared not to annotate.

        Args:
            case: Whose mask.
            content: Label codes that it holds.

        Raises:
            UserError: It does not.
        """
        held = set(content)
        wrong = sorted(name for name in not_annotated(case, self.declared) if self.codes[name] in held)
        if wrong:
            raise UserError(
                f"{case}: its mask holds {', '.join(wrong)}, but dataset.json (text_guidance.missing) says that its "
                "source does not annotate that. Remove the name from the entry, or the voxels from the mask, in both "
                "nnUNet_raw and nnUNet_preprocessed, and preprocess again."
            )
