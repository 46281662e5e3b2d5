"""Where a comparison reads: nnU-Net's three folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnunet_textguided.errors import UserError
from nnunet_textguided.nnunet_paths import PURPOSES, require_paths


@dataclass(frozen=True)
class Folders:
    """nnU-Net's folders.

    Attributes:
        raw: nnUNet_raw.
        preprocessed: nnUNet_preprocessed.
        results: nnUNet_results.
    """

    raw: Path
    preprocessed: Path
    results: Path

    @classmethod
    def from_environment(cls) -> Folders:
        """Take them from nnU-Net's environment variables.

        Raises:
            UserError: One of them is not set.
        """
        paths = require_paths(*PURPOSES)
        return cls(*(paths[name] for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")))

    def truth(self, dataset: str) -> Path:
        """Return the folder of label files that nnU-Net's own validation compares with.

        Args:
            dataset: DatasetXXX_Name.

        Raises:
            UserError: Neither that folder nor the raw data set's labels exist.
        """
        candidates = (self.preprocessed / dataset / "gt_segmentations", self.raw / dataset / "labelsTr")
        found = next((folder for folder in candidates if folder.is_dir()), None)
        if found is None:
            raise UserError(
                f"Expected the label files of {dataset} at {candidates[0]} or {candidates[1]}, found neither. "
                "Run nnUNetv2_plan_and_preprocess, or correct the three nnUNet_ variables."
            )
        return found
