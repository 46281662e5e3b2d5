"""SPIDER's label codes (van der Graaf et al., Zenodo 10159290) on the shared spine label set; pure Python."""

from __future__ import annotations

from nnunet_textguided.dataset_conversion.label_maps.spine_labels import CANAL_CODE, spine_labels

SEQUENCES = ("t1", "t2", "t2_SPACE")
PARTIAL_CHOICES = ("vertebra", "background", "ignore")
ABOVE_CHOICES = ("background", "ignore")
NOT_ANNOTATED = ("S",)

_HIGHEST_LEVEL = 9  # SPIDER counts from below: vertebra 9 is T9, disc 209 is T9/T10
_LEVELS = 25
_CANAL, _PARTIAL, _DISC = 100, 100, 200
_CHANNEL_NAMES = {"t1": "T1 MRI", "t2": "T2 MRI", "t2_SPACE": "T2 MRI"}


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
    ignore = spider_labels(canal, partial, above).get("ignore", 0)
    beyond = ignore if above == "ignore" else 0
    table = {0: 0, _CANAL: CANAL_CODE if canal else 0}
    for level in range(1, _LEVELS + 1):
        known = level <= _HIGHEST_LEVEL
        vertebra = level + 1 if known else beyond
        table[level] = vertebra
        table[_DISC + level] = level + 10 if known else beyond
        table[_PARTIAL + level] = (
            {"vertebra": vertebra, "background": 0, "ignore": ignore}[partial] if known else beyond
        )
    return table


def channel_name(sequences: list[str]) -> str:
    """Name one input channel that holds these sequences: the weighting if they share it, else just MRI.

    nnU-Net takes every name but ct, nonorm, zscore, rescale_to_0_1 and rgb_to_0_1 as z-score normalisation.

    Args:
        sequences: Some of SEQUENCES.
    """
    names = {_CHANNEL_NAMES[sequence] for sequence in sequences}
    return names.pop() if len(names) == 1 else "MRI"
