"""T1 or T2, and with or without fat: what the headers of a series say about its contrast."""

from __future__ import annotations

import re

from nnunet_textguided.dataset_conversion.dicom.header import SliceHeader
from nnunet_textguided.dataset_conversion.dicom.stack import Stack

T1, T2 = "T1", "T2"

_WEIGHTING = re.compile(
    r"(?:(?<![a-z0-9])[a-z]?|(?<=sag)|(?<=cor)|(?<=tra)|(?<=ax))t([12])(?![0-9])(?!\s*\*|[\s_-]*star)", re.IGNORECASE
)
"""T1 or T2 as a word, also t2w, T2_TSE, SagT2, Philips' sT2W_TSE; not T12 (a vertebra), not T2* (a gradient echo)."""

_SHORT_INVERSION = re.compile(r"(?<![a-z])(?:stir|tirm)(?![a-z])", re.IGNORECASE)
_FAT_SUPPRESSED = re.compile(
    r"(?<![a-z])(?:fs|fat[\s_-]*(?:sat|sup)[a-z]*|chem[\s_-]*sat|spair|spir|water|dixon.*[\s_]w)(?![a-z])",
    re.IGNORECASE,
)
_NEITHER = re.compile(
    r"t2\s*\*|t2[\s_-]*star|(?<![a-z])(?:loc|locali[sz]er|scout|survey|dwi|diff|adc|myelo[a-z]*)(?![a-z])",
    re.IGNORECASE,
)
_PROTON_DENSITY = re.compile(r"(?<![a-z])pdw?(?![a-z])", re.IGNORECASE)

_SHORT_ECHO, _LONG_ECHO = 30.0, 60.0  # ms
_SHORT_REPETITION = 1000.0  # ms
_FAT_NULLING = (100.0, 260.0)  # ms, inversion times
_NOT_SPIN_ECHO = {"GR", "EP"}  # of ScanningSequence


def weighting(source: SliceHeader | Stack) -> str | None:
    """Tell whether a series is T1- or T2-weighted.

    The description decides, else the protocol's name; STIR and TIRM count as T2, as they show fluid bright (RSNA 2024
    has them under one name, `Sagittal T2/STIR`). Where both are silent, or name two contrasts, `timed_weighting` does.

    Args:
        source: A slice or a stack.

    Returns:
        T1, T2, or None where it is neither or nothing says.
    """
    header = _header(source)
    for said in (header.description, header.protocol):
        if _NEITHER.search(said):
            return None
        named = {f"T{digit}" for digit in _WEIGHTING.findall(said)}
        several = len(named) + bool(_PROTON_DENSITY.search(said)) > 1
        if several:
            break
        if named:
            return named.pop()
        if _SHORT_INVERSION.search(said):
            return T2
        if _PROTON_DENSITY.search(said):
            return None
    return timed_weighting(header)


def timed_weighting(source: SliceHeader | Stack) -> str | None:
    """Tell a spin echo's weighting from its timing.

    TE below 30 ms with TR below 1000 ms is T1, TE above 60 ms is T2. In clinical practice a short TE is below 30 ms, a
    short TR about 500 ms, a long TE from 90 ms (IMAIOS e-MRI, "Signal weighting"); the bounds lie between these, and
    what falls between the bounds, as proton density does, is neither.

    Args:
        source: A slice or a stack.

    Returns:
        T1, T2 or None; None also for gradient echoes and EPI, where the flip angle and T2* count as well.
    """
    header = _header(source)
    if header.echo_time is None or _NOT_SPIN_ECHO & set(header.sequence):
        return None
    if header.echo_time > _LONG_ECHO:
        return T2
    short = header.repetition_time is not None and header.repetition_time < _SHORT_REPETITION
    return T1 if short and header.echo_time < _SHORT_ECHO else None


def is_fat_suppressed(source: SliceHeader | Stack) -> bool:
    """Tell whether the headers say that fat is suppressed.

    Signs: words of the description or protocol (FS, fat sat, SPAIR, SPIR, water; STIR and TIRM unless T1), FS among the
    ScanOptions (DICOM PS3.3 C.8.3.1), or an inversion time of 100 to 260 ms, around ln 2 x T1 of fat (240 ms at 1.5 T
    in the source above, more at 3 T), where fat has no signal.

    Args:
        source: A slice or a stack.

    Returns:
        False also where nothing is said.
    """
    header = _header(source)
    said = f"{header.description} {header.protocol}"
    if _FAT_SUPPRESSED.search(said) or "FS" in header.options:
        return True
    if _SHORT_INVERSION.search(said) and weighting(header) != T1:
        return True
    inversion = header.inversion_time
    return inversion is not None and _FAT_NULLING[0] <= inversion <= _FAT_NULLING[1]


def _header(source: SliceHeader | Stack) -> SliceHeader:
    return source.slices[0] if isinstance(source, Stack) else source
