"""nnU-Net's plans, checked once for all who read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json
from nnunet_textguided.safe_names import check_name

_TEXTS = ("dataset_name", "plans_name", "image_reader_writer", "label_manager")
_AXES = ("transpose_forward", "transpose_backward")
_LARGEST = 1e6
"""Voxels or mm along an axis."""


def read_plans(path: str | Path) -> dict[str, Any]:
    """Read plans.

    Args:
        path: plans.json of a model, or nnUNetPlans.json and its like of a preprocessed data set.

    Returns:
        Its content.

    Raises:
        UserError: It is no JSON, or not nnU-Net's plans; the text names file and entry.
    """
    content = load_json(path)
    check_plans_form(content, path)
    return content


def check_plans_form(plans: Any, where: str | Path) -> None:
    """Check the configurations, and the entries that are read before nnU-Net reads them, as far as they are there.

    Args:
        plans: Content of the file.
        where: The file.

    Raises:
        UserError: One of them has another form.
    """
    configurations = plans.get("configurations") if isinstance(plans, Mapping) else None
    if not isinstance(configurations, Mapping):
        raise UserError(f"{where}: expected plans of nnU-Net with their configurations, found none.")
    for key in _TEXTS:
        if key in plans and not isinstance(plans[key], str):
            raise _odd(where, key, "a text", plans[key])
    for key in _AXES:
        if key in plans and not _is_order(plans[key]):
            raise _odd(where, key, "the axes 0, 1, 2 in some order", plans[key])
    _check_numbers(plans, "original_median_shape_after_transp", where)
    for name, configuration in configurations.items():
        there = f"{where}, configuration {name[:80]!r}"
        if not isinstance(configuration, Mapping):
            raise UserError(f"{there}: expected an object, got {str(configuration)[:80]!r}.")
        if "data_identifier" in configuration:
            check_name(configuration["data_identifier"], f"{there}, data_identifier")
        for key in ("spacing", "patch_size"):
            _check_numbers(configuration, key, there)


def _check_numbers(entries: Mapping[str, Any], key: str, where: str | Path) -> None:
    """Refuse anything but two or three numbers above zero."""
    if key not in entries:
        return
    numbers = entries[key]
    if not isinstance(numbers, list | tuple) or len(numbers) not in (2, 3) or not all(map(_is_size, numbers)):
        raise _odd(where, key, "2 or 3 numbers above 0", numbers)


def _is_size(number: Any) -> bool:
    return isinstance(number, int | float) and not isinstance(number, bool) and 0 < number <= _LARGEST


def _is_order(axes: Any) -> bool:
    return isinstance(axes, list | tuple) and sorted(map(repr, axes)) == ["0", "1", "2"]


def _odd(where: str | Path, key: str, expected: str, found: Any) -> UserError:
    return UserError(f"{where}, {key}: expected {expected}, got {str(found)[:80]!r}.")
