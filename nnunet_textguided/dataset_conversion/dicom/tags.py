"""Values of DICOM tags as plain Python: text, numbers, or a line on what is wrong with them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from nnunet_textguided.dataset_conversion.base.problems import CaseError


def words(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return every value of a tag as stripped text; empty where the tag is missing, empty or unreadable.

    Args:
        dataset: Of one file.
        keyword: DICOM keyword of the tag.
    """
    return tuple(text for text in (str(value).strip() for value in _values(dataset, keyword)) if text)


def text(dataset: Dataset, keyword: str) -> str:
    r"""Return a tag's values as one text, joined by DICOM's backslash; '' as `words` returns none.

    Args:
        dataset: Of one file.
        keyword: DICOM keyword of the tag.
    """
    return "\\".join(words(dataset, keyword))


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return a tag's first number; None where it is missing, empty, unreadable or not finite.

    Args:
        dataset: Of one file.
        keyword: DICOM keyword of the tag.
    """
    try:
        value = float(_values(dataset, keyword)[0])
    except (IndexError, TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def required_numbers(
    dataset: Dataset, keyword: str, count: int, path: Path, *, positive: bool = False
) -> tuple[float, ...]:
    """Return a tag's numbers.

    Args:
        dataset: Of one file.
        keyword: DICOM keyword of the tag.
        count: How many numbers it must hold.
        path: The file, for the message.
        positive: Whether each must be above zero.

    Raises:
        CaseError: Missing, or other values than that.
    """
    values = _values(dataset, keyword)
    if not values:
        state = "is empty or unreadable" if keyword in dataset else "is missing"
        raise CaseError(f"{path}: {keyword} {state}, without which the slice has no place in space; leave it out")
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if len(numbers) != count or not all(math.isfinite(value) and (value > 0 or not positive) for value in numbers):
        kind = "positive number(s)" if positive else "number(s)"
        raise CaseError(f"{path}: expected {count} {kind} in {keyword}, got {text(dataset, keyword)}")
    return numbers


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    """Return a tag's values in a list, empty where it has none or where they are not of the tag's kind."""
    try:
        value = getattr(dataset, keyword, None)
    except Exception:  # pydicom converts when asked, and its converters raise of every kind
        return []
    if isinstance(value, MultiValue):
        return list(value)
    return [] if value is None or value == "" else [value]
