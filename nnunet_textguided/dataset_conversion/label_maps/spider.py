"""SPIDER's label codes (van der Graaf et al., Zenodo 10159290) on the shared spine label set; pure Python.

Source: the SPIDER baseline page of grand-challenge.org. Counted from below: 1 is L5, 201 the disc L5/S; 100 is the
spinal canal, cord included; 100 + v is vertebra v where only a part of it is visible. The sacrum is not annotated.
"""

from __future__ import annotations

from nnunet_textguided.dataset_conversion.label_maps.label_map import LabelMap
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import CANAL_NAME, IGNORE_NAME, spine_labels
from nnunet_textguided.dataset_conversion.label_maps.table import Choices, build_table
from nnunet_textguided.spine import SPINE_DISCS, SPINE_VERTEBRAE

SEQUENCES = ("t1", "t2", "t2_SPACE")
PARTIAL_CHOICES = ("vertebra", "background", "ignore")
ABOVE_CHOICES = ("background", "ignore")

_LEVELS = 25
_CANAL, _PARTIAL, _DISC = 100, 100, 200
_CHANNEL_NAMES = {"t1": "T1 MRI", "t2": "T2 MRI", "t2_SPACE": "T2 MRI"}
_LEVEL_NAMES = SPINE_VERTEBRAE[1:]  # SPIDER's vertebra 9 is T9
_ABOVE = range(len(_LEVEL_NAMES) + 1, _LEVELS + 1)

SPIDER = LabelMap(
    name="spider",
    codes={
        **dict(enumerate(_LEVEL_NAMES, start=1)),
        **dict(enumerate(SPINE_DISCS, start=_DISC + 1)),
        _CANAL: CANAL_NAME,
        **dict(enumerate(_LEVEL_NAMES, start=_PARTIAL + 1)),
    },
    background={
        **dict.fromkeys(_ABOVE, "vertebra above T9"),
        **{_PARTIAL + level: "vertebra above T9, partly visible" for level in _ABOVE},
        **{_DISC + level: "disc above T9" for level in _ABOVE},
    },
    licence="SPIDER: CC BY 4.0",
)
NOT_ANNOTATED = SPIDER.missing


def spider_labels(canal: bool = False, partial: str = "vertebra", above: str = "background") -> dict[str, int]:
    """Return the `labels` entry of dataset.json for these choices.

    Args:
        canal: Keep the spinal canal as a class.
        partial: What a partially visible vertebra (codes 101 to 125) becomes, one of PARTIAL_CHOICES.
        above: What vertebrae above T9 and discs above T9/T10 become, one of ABOVE_CHOICES.
    """
    return spine_labels(canal=canal, ignore="ignore" in (partial, above))


def spider_table(canal: bool = False, partial: str = "vertebra", above: str = "background") -> dict[int, int]:
    """Return source code to target code for all of SPIDER's codes.

    A vertebra v (1 = L5 ... 9 = T9) becomes v + 1, a disc d (201 = L5/S ... 209 = T9/T10) becomes d - 190. The label
    set ends at T9, so what lies above is background unless it is to be ignored. SPIDER does not annotate the sacrum:
    no code maps to 1.

    Args:
        canal: Keep the spinal canal (100) as code 20, else it is background.
        partial: What a partially visible vertebra 100 + v becomes: that vertebra, background or the ignore label.
        above: What lies above T9 becomes (whole or partially visible): background or the ignore label.
    """
    choices: dict[int, str] = {}
    if partial != "vertebra":
        choices.update({_PARTIAL + level: partial for level in range(1, len(_LEVEL_NAMES) + 1)})
    if above == IGNORE_NAME:
        choices.update(dict.fromkeys(SPIDER.background, IGNORE_NAME))
    return build_table(SPIDER, spider_labels(canal, partial, above), Choices(codes=choices)).codes


def channel_name(sequences: list[str]) -> str:
    """Name one input channel that holds these sequences: the weighting if they share it, else just MRI.

    nnU-Net takes every name but ct, nonorm, zscore, rescale_to_0_1 and rgb_to_0_1 as z-score normalisation.

    Args:
        sequences: Some of SEQUENCES.
    """
    names = {_CHANNEL_NAMES[sequence] for sequence in sequences}
    return names.pop() if len(names) == 1 else "MRI"
