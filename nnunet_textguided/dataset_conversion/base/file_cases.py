"""Cases whose channels and mask are image files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.base.cases import (
    CaseTask,
    LoadedCase,
    hash_file,
    label_everywhere,
    on_one_grid,
)
from nnunet_textguided.dataset_conversion.base.codes import map_codes
from nnunet_textguided.dataset_conversion.base.geometry import check_same_grid, read_mask, read_volume
from nnunet_textguided.dataset_conversion.base.problems import CaseError


@dataclass(frozen=True, kw_only=True)
class FileCase(CaseTask):
    """Channels and mask in files of their own.

    Attributes:
        images: One file a channel; the first one's grid is the case's.
        mask: File with the source's label codes, on the grid of the first image; None = nothing is annotated.
        table: Source code to target code.
        ignore: Target code of what is not annotated; needed where there is no mask.
    """

    images: tuple[Path, ...]
    mask: Path | None
    table: Mapping[int, int]
    ignore: int | None = None

    def fingerprint(self) -> dict[str, str]:
        """Return the hash of each file."""
        paths = (*self.images, *([] if self.mask is None else [self.mask]))
        return {self.relative(path): hash_file(path) for path in paths}

    def load(self) -> LoadedCase:
        """Read channels and mask, bring them onto one grid and map the codes."""
        first = read_volume(self.images[0])
        label_map, codes = self._label_map(first)
        later = {self.relative(path): read_volume(path) for path in self.images[1:]}
        channels, covered_by = on_one_grid({self.relative(self.images[0]): first, **later})
        about = {"codes": codes, **({"covered_by": covered_by} if covered_by else {})}
        return LoadedCase(channels, label_map, about)

    def _label_map(self, image: sitk.Image) -> tuple[sitk.Image, dict[str, dict[str, int]]]:
        if self.mask is None:
            if self.ignore is None:
                raise CaseError("expected a mask: this data set has no label for what is not annotated")
            return label_everywhere(image, self.ignore), {}
        mask = read_mask(self.mask)
        check_same_grid(image, mask, self.images[0], self.mask)
        codes, counts = map_codes(sitk.GetArrayViewFromImage(mask), self.table)
        label_map = sitk.GetImageFromArray(codes)
        label_map.CopyInformation(image)
        return label_map, {str(code): {"to": self.table[code], "voxels": voxels} for code, voxels in counts.items()}
