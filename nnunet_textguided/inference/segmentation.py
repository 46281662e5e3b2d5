"""What a prediction in memory gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.case_findings import Finding


@dataclass(frozen=True)
class Segmentation:
    """Labels of one image, and its findings.

    Attributes:
        labels: (Z, Y, X) codes, uint8 or uint16, in the layout of the image that was given.
        names: Code -> structure name, background included.
        spacing: (z, y, x) in mm, of the image that was given.
        probabilities: (C, Z, Y, X) in the same layout, or None if not asked for.
        findings: Every decision, of a model that was trained for findings. Places in mm are LPS world for files; for
            arrays the origin of the world is the centre of the first voxel.
    """

    labels: np.ndarray
    names: dict[int, str]
    spacing: tuple[float, float, float]
    probabilities: np.ndarray | None = None
    findings: tuple[Finding, ...] = ()

    def mask(self, name: str) -> np.ndarray:
        """Return where one structure is, (Z, Y, X) bool.

        Args:
            name: A structure's name.

        Raises:
            UserError: The model has no such structure.
        """
        codes = [code for code, structure in self.names.items() if structure == name]
        if not codes:
            raise UserError(f"The model has no structure {name!r}. It has: {', '.join(self.names.values())}.")
        return np.isin(self.labels, codes)
