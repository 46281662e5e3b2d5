"""Label maps that a user writes down: a JSON file of codes and names.

The whole content may be `{"1": "L5", "2": "L4", "60": "background"}`, or the same under the key `codes` beside the
optional keys `name` and `licence`. Code 0 is background and need not stand there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_conversion.base.codes import LARGEST_CODE
from nnunet_textguided.dataset_conversion.label_maps.label_map import TRANSITIONAL, LabelMap
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import BACKGROUND_NAME, CANAL_NAME, IGNORE_NAME
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json
from nnunet_textguided.spine import SPINE_STRUCTURES
from nnunet_textguided.text.spine_names import canonical_name

OUR_NAMES: tuple[str, ...] = (*SPINE_STRUCTURES, CANAL_NAME, *TRANSITIONAL, IGNORE_NAME, BACKGROUND_NAME)
"""Every name that a code can be given."""

_KEYS = {"name", "codes", "licence"}


def read_label_map(path: Path, known: Collection[str] | None = None) -> LabelMap:
    """Read a label map.

    Args:
        path: The JSON file.
        known: The names that may stand in it; any if None.

    Raises:
        UserError: Another form, a code that is no whole number from 0 to 65535 or stands there twice, an empty name
            or one that is not known.
    """
    content = load_json(path)
    if not isinstance(content, dict):
        raise UserError(
            f'{path}: expected a label map such as {{"1": "L5", "2": "L4"}}, got a {type(content).__name__}.'
        )
    if isinstance(content.get("labels"), dict):
        content = {"codes": content["labels"]}
    outer: dict[str, Any] = content if "codes" in content else {"codes": content}
    strange = sorted(set(outer) - _KEYS)
    if strange or not isinstance(outer["codes"], dict) or not outer["codes"]:
        raise UserError(
            f'{path}: expected {{"1": "L5", ...}}, or "codes" with that beside "name" and "licence"; '
            f"got {', '.join(strange) or outer['codes']!r}."
        )
    names = _parse(path, outer["codes"], known)
    return LabelMap(
        name=str(outer.get("name", path.stem)),
        codes={code: name for code, name in names.items() if name != BACKGROUND_NAME},
        background={code: BACKGROUND_NAME for code, name in names.items() if name == BACKGROUND_NAME and code != 0},
        licence=str(outer.get("licence", "")),
        hint=f"Add the code to {path}",
    )


def check_name(name: str, known: Collection[str], where: str) -> None:
    """Refuse a name that is not known.

    Args:
        name: As a user wrote it.
        known: The names there are.
        where: For the message.

    Raises:
        UserError: Not known; the text says how the same structure is spelt here, if it can tell.
    """
    if name in known:
        return
    meant = canonical_name(name)
    hint = f"Did you mean {meant}?" if meant in known else f"There are: {', '.join(known)}."
    raise UserError(f"{where}: '{name}' is not a structure that can be written here. {hint}")


def _parse(path: Path, codes: Mapping[str, Any], known: Collection[str] | None) -> dict[int, str]:
    names: dict[int, str] = {}
    for given, name in _pairs(codes):
        code = _code(given)
        if code is None:
            raise UserError(f"{path}: expected label codes from 0 to {LARGEST_CODE}, got {given!r} for {name!r}.")
        if not isinstance(name, str) or not name.strip():
            raise UserError(f"{path}: expected a name for code {given}, got {name!r}.")
        if code in names:
            raise UserError(
                f"{path}: code {code} stands there twice, as {names[code]!r} and {name!r}. Keep one of them."
            )
        if known is not None:
            check_name(name, known, f"{path}, code {code}")
        names[code] = name.strip()
    if names.get(0, BACKGROUND_NAME) != BACKGROUND_NAME:
        raise UserError(f"{path}: code 0 is background in every mask, got '{names[0]}' for it.")
    return names


def _pairs(codes: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """Code and name, whichever of them is the key; where names are, a name may have several codes."""
    if not all(isinstance(value, int | float | list) for value in codes.values()):
        return list(codes.items())
    return [(code, name) for name, given in codes.items() for code in (given if isinstance(given, list) else [given])]


def _code(given: Any) -> int | None:
    """The whole number that was given, None for anything else or one too large."""
    if isinstance(given, str) and re.fullmatch(r"[0-9]{1,5}", given):
        given = int(given)
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= LARGEST_CODE else None
