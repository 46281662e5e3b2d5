"""Label maps that a user writes down: a JSON file of codes and names.

The whole content may be `{"1": "L5", "2": "L4", "60": "background"}`, or the same under the key `codes` beside the
optional keys `name` and `licence`. Code 0 is background and need not stand there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_conversion.label_maps.label_map import TRANSITIONAL, LabelMap
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import (
    BACKGROUND_NAME,
    CANAL_NAME,
    IGNORE_NAME,
    LARGEST_CODE,
)
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
    for text, name in codes.items():
        if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > LARGEST_CODE:
            raise UserError(f"{path}: expected label codes from 0 to {LARGEST_CODE} as keys, got '{text}'.")
        if int(text) in names:
            raise UserError(f"{path}: code {int(text)} stands there twice. Keep one of them.")
        if not isinstance(name, str) or not name.strip():
            raise UserError(f"{path}: expected a name for code {text}, got {name!r}.")
        if known is not None:
            check_name(name, known, f"{path}, code {text}")
        names[int(text)] = name
    if names.get(0, BACKGROUND_NAME) != BACKGROUND_NAME:
        raise UserError(f"{path}: code 0 is background in every mask, got '{names[0]}' for it.")
    return names
