"""The label maps that are known by name."""

from __future__ import annotations

from nnunet_textguided.dataset_conversion.label_maps.dgmsnet import DGMSNET
from nnunet_textguided.dataset_conversion.label_maps.label_map import LabelMap
from nnunet_textguided.dataset_conversion.label_maps.mrspineseg import MRSPINESEG
from nnunet_textguided.dataset_conversion.label_maps.spider import SPIDER
from nnunet_textguided.dataset_conversion.label_maps.spineps import SPINEPS
from nnunet_textguided.dataset_conversion.label_maps.totalspineseg import TOTALSPINESEG
from nnunet_textguided.errors import UserError

LABEL_MAPS: dict[str, LabelMap] = {
    label_map.name: label_map for label_map in (SPINEPS, TOTALSPINESEG, SPIDER, DGMSNET, MRSPINESEG)
}


def label_map(name: str) -> LabelMap:
    """Return the label map of a tool or data set.

    Args:
        name: One of LABEL_MAPS.

    Raises:
        UserError: There is none of this name; the text lists them.
    """
    if name not in LABEL_MAPS:
        raise UserError(f"'{name}' is not a known label map. There are: {', '.join(LABEL_MAPS)}.")
    return LABEL_MAPS[name]
