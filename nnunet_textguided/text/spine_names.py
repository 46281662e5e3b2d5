"""Reading the usual spellings of vertebrae and discs."""

from __future__ import annotations

import re

REGIONS: dict[str, tuple[str, int]] = {"C": ("cervical", 7), "T": ("thoracic", 13), "L": ("lumbar", 6)}
"""Region letter -> adjective and highest number (T13 and L6 are the usual extra vertebrae)."""

_DISC_WORDS = {"disc", "discs", "disk", "disks", "ivd", "intervertebral"}
_VERTEBRA_WORDS = {"vertebra", "vertebrae", "vertebral", "body"}
_WHOLE_NAMES = {
    "s": "S",
    "sacrum": "S",
    "os sacrum": "S",
    "canal": "canal",
    "spinal canal": "canal",
    "vertebral canal": "canal",
}
_LEVEL = r"(?:(?:th|[ctls])\s?\d{1,2}|s|sacrum)"
_SINGLE = re.compile(rf"{_LEVEL}$")
_PAIR = re.compile(rf"({_LEVEL})\s?({_LEVEL}|\d{{1,2}})$")


def _next_below(level: str) -> tuple[str, ...]:
    """Levels that can lie directly below `level`, the transitional anatomies included."""
    if level == "C7":
        return ("T1",)
    if level in ("T11", "T12", "T13"):
        number = int(level[1:])
        return (f"T{number + 1}", "L1") if number < 13 else ("L1",)
    if level in ("L4", "L5", "L6"):
        number = int(level[1:])
        return (f"L{number + 1}", "S") if number < 6 else ("S",)
    if level[0] in REGIONS:
        return (f"{level[0]}{int(level[1:]) + 1}",)
    return ()


def disc_pairs() -> list[tuple[str, str]]:
    """All discs as (vertebra above, vertebra below), from the neck down; C1/C2 has none.

    Returns:
        Pairs of vertebra names; T11/L1 and L4/S are for spines that lack T12 or L5.
    """
    vertebrae = [f"{letter}{number}" for letter, (_, last) in REGIONS.items() for number in range(1, last + 1)]
    return [(upper, lower) for upper in vertebrae if upper != "C1" for lower in _next_below(upper)]


def _level(text: str) -> str | None:
    text = text.replace(" ", "").replace("th", "t")
    if text in ("s", "s1", "sacrum"):
        return "S"
    letter, number = text[0].upper(), text[1:].lstrip("0")
    if letter in REGIONS and number and int(number) <= REGIONS[letter][1]:
        return f"{letter}{number}"
    return None


def _disc(first: str, second: str) -> str | None:
    upper = _level(first)
    if upper is None or upper == "S":
        return None
    if second.isdigit():
        candidates = [lower for lower in _next_below(upper) if lower[1:] == second or (lower == "S" and second == "1")]
        lower = candidates[0] if candidates else None
    else:
        lower = _level(second)
    pairs = disc_pairs()
    if (upper, lower) in pairs:
        return f"{upper}/{lower}"
    return f"{lower}/{upper}" if (lower, upper) in pairs else None


def _words(label: str) -> list[str]:
    return re.sub(r"[\s_/\\\-–.,:()\[\]]+", " ", label.lower()).split()


def canonical_name(label: str) -> str | None:
    """Recognise a label that, as a whole, names a vertebra, a disc, the sacrum or the spinal canal.

    Case, the separators ``/ - _ .`` and blanks, the words vertebra, disc, disk, IVD, body and partial, ``L4/5``
    for ``L4/L5`` and ``S1`` for the sacrum are understood. A label with any other word in it is not a spine name.

    Args:
        label: A label name as it stands in dataset.json.

    Returns:
        The name used as glossary key, for example "L4/L5", "T12", "S", "canal" or "partial L3"; None for all else.
    """
    words = _words(label)
    partial = any(word in ("partial", "partially") for word in words)
    words = [word for word in words if word not in ("partial", "partially", "visible")] if partial else words
    disc = any(word in _DISC_WORDS for word in words)
    vertebra = any(word in _VERTEBRA_WORDS for word in words) and not disc and "canal" not in words
    drop = _DISC_WORDS if disc else _VERTEBRA_WORDS if vertebra else set()
    rest = " ".join(word for word in words if word not in drop)
    single = None if disc else _WHOLE_NAMES.get(rest)
    if single is None and not disc and _SINGLE.match(rest):
        single = _level(rest)
    if single is not None:
        if single == "canal" and (partial or vertebra):
            return None
        return f"partial {single}" if partial else single
    pair = _PAIR.match(rest)
    return _disc(*pair.groups()) if pair and not vertebra and not partial else None


def is_ambiguous(label: str) -> bool:
    """Whether a spine name could as well mean something else when it stands alone.

    Bare "S" and "S1", "canal", "C1" to "C7", "T1" to "T8" and "T1/T2" (MRI weightings, TNM stages, root canals,
    tooth and channel numbers) are; "L1" to "L6", "T9" to "T13", other discs and names with an anatomical word are not.

    Args:
        label: A label for which `canonical_name` gives a name.

    Returns:
        True if only the other labels of a data set can tell what it means.
    """
    words = set(_words(label))
    if words & (_DISC_WORDS | _VERTEBRA_WORDS | {"sacrum", "spinal"}):
        return False
    name = (canonical_name(label) or "").removeprefix("partial ")
    if name in ("S", "canal", "T1/T2"):
        return True
    return "/" not in name and (name[0] == "C" or name in {f"T{number}" for number in range(1, 9)})
